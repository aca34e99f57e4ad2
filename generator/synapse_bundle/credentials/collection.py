"""The bundle's secrets: kept where they exist, made with the system's CSPRNG where they do not."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from .. import user_files
from ..errors import SettingsError
from ..settings.model import Settings
from . import authority_check, provided
from .provided import TUNNEL

DIRECTORY: Final = "secrets"
# The id that the bootstrap gives a server and its data at the first start.
INSTANCE: Final = "instance"
# Without 0, 1, l and o: the first password is typed on a telephone.
READABLE: Final = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Secret values by the name of their file; a file's last newline is not part of the value."""

    values: Mapping[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> str:
        """Return one value."""
        return self.values[name]

    @property
    def verify_key(self) -> str:
        """The public half of the signing key, as `ed25519:VERSION BASE64` (Matrix: unpadded)."""
        # Imported here: `init` and `--help` need no cryptography.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PrivateKey,
        )

        _, version, seed = self["signing.key"].split()
        key = Ed25519PrivateKey.from_private_bytes(decode(seed)).public_key()
        return f"ed25519:{version} {encode(key.public_bytes_raw())}"

    @property
    def tunnel_id(self) -> str:
        """The UUID of the tunnel."""
        return str(json.loads(self[TUNNEL])["TunnelID"])


def collect(
    bundle: Path,
    settings: Settings,
    base: Path,
    given: Mapping[str, str] = MappingProxyType({}),
    now: datetime | None = None,
) -> Credentials:
    """Return the bundle's credentials, making what is missing; nothing is written.

    `base` is the directory that the settings' relative file names start from, `given` are secrets
    that this run was handed, by the name of their file, `now` is the clock's if it is None. Raises
    SettingsError that lists every unusable secret file by name, never by content.
    """
    directory = bundle / DIRECTORY
    if directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
        raise SettingsError(
            f"{directory} cannot be read; run as its owner, or give it back: chown, chmod 0700"
        )
    now = now or datetime.now(UTC)
    problems: list[str] = []
    values: dict[str, str] = {}
    for name, check in CHECKS.items():
        text = read_secret(bundle / DIRECTORY / name, check, problems)
        if text is not None:
            values[name] = text
    values |= provided.collect(bundle / DIRECTORY, settings, base, read_secret, problems, given)
    if "authority.pem" in values and "authority.key" not in values:
        problems.append("secrets/authority.key is missing; delete authority.pem to make both anew")
    if not any("authority." in problem for problem in problems):
        problems += authority_check.find_faults(values, now)
    if "signing.key" not in values and (bundle / "compose.yaml").exists():
        problems.append(
            "secrets/signing.key is missing: other servers know this one by it. Put it back from a"
            " copy; for a new identity, delete compose.yaml too"
        )
    if problems:
        raise SettingsError("The bundle's secrets cannot be used; nothing was written.", problems)
    return Credentials(values=create_missing(values, settings, now))


def create_missing(values: dict[str, str], settings: Settings, now: datetime) -> dict[str, str]:
    """Return all values, with new ones in place of those that do not exist yet."""
    created = {name: make() for name, make in MAKERS.items() if name not in values}
    if "authority.pem" not in values:
        created |= create_authority(values.get("authority.key"), settings, now)
    return values | created


def create_authority(key: str | None, settings: Settings, now: datetime) -> dict[str, str]:
    """Return the authority's files; a key that exists keeps the trust that devices put in it."""
    # Imported here: only the first run makes an authority.
    from . import authority  # noqa: PLC0415

    private = key or authority.create_key().rstrip("\n")
    certificate = authority.certify(private, settings.authority_names, now).rstrip("\n")
    return {"authority.key": private, "authority.pem": certificate}


def read_secret(path: Path, check: Callable[[str], str], problems: list[str]) -> str | None:
    """Return a secret's value, or None where there is none yet or it is unusable."""
    shown = f"{DIRECTORY}/{path.name}" if path.parent.name == DIRECTORY else str(path)
    try:
        # As bytes: a Windows line end must not be read as a plain one.
        text = user_files.read(path).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        problems.append(f"{shown}: {reason}")
        return None
    value = text.removesuffix("\n")
    fault = check(value)
    if fault:
        problems.append(f"{shown}: {fault}")
    return value


def check_token(value: str) -> str:
    """Say what is wrong with a one-line secret, or nothing."""
    if not value:
        return "is empty; delete it and a new one is made"
    if not value.isprintable() or value != value.strip():
        return "must be one line without spaces around it (a Windows line end counts)"
    return "is shorter than 8 characters" if len(value) < 8 else ""


def check_signing_key(value: str) -> str:
    """Say what is wrong with a signing key, or nothing."""
    match = re.fullmatch(r"ed25519 [A-Za-z0-9_]+ ([A-Za-z0-9+/]{43})", value)
    return "" if match else "is no signing key (`ed25519 VERSION SEED`); restore it from a backup"


def check_pem(value: str) -> str:
    """Say what is wrong with a PEM file, or nothing."""
    whole = re.fullmatch(r"-----BEGIN [A-Z ]+-----\n.+\n-----END [A-Z ]+-----", value, re.DOTALL)
    return (
        "" if whole else "is no PEM file; delete authority.key and authority.pem to make new ones"
    )


def make_token() -> str:
    """Return 256 bits for machines."""
    return secrets.token_urlsafe(32)


def make_password() -> str:
    """Return 100 bits for a person to type, in groups of five."""
    return "-".join("".join(secrets.choice(READABLE) for _ in range(5)) for _ in range(4))


def make_signing_key() -> str:
    """Return a signing key in Synapse's format, with a random version as Synapse gives it."""
    version = "".join(secrets.choice(string.ascii_letters) for _ in range(4))
    return f"ed25519 a_{version} {encode(secrets.token_bytes(32))}"


def encode(data: bytes) -> str:
    """Encode as unpadded base64 (Matrix specification, appendices)."""
    return base64.b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    """Decode unpadded base64."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def check_instance(value: str) -> str:
    """Say what is wrong with a server id, or nothing; it is empty until the first start."""
    return (
        ""
        if re.fullmatch(r"([0-9a-f]{32})?", value)
        else "is not a server id; put it back from a copy"
    )


MAKERS: Final[dict[str, Callable[[], str]]] = {
    "postgres_password": make_token,
    "synapse_database_password": make_token,
    "registration_shared_secret": make_token,
    "macaroon_secret_key": make_token,
    "form_secret": make_token,
    "signing.key": make_signing_key,
    "admin_password": make_password,
    INSTANCE: str,
}
CHECKS: Final[dict[str, Callable[[str], str]]] = {
    **dict.fromkeys(MAKERS, check_token),
    "signing.key": check_signing_key,
    INSTANCE: check_instance,
    "authority.key": check_pem,
    "authority.pem": check_pem,
}

"""The secrets that go on: without them sessions end, passwords fail, and other servers know nobody here."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .homeserver_config import ForeignConfig

_LINE: Final = re.compile(r"ed25519 ([A-Za-z0-9_]+) ([A-Za-z0-9+/]{43})=?")


@dataclass(frozen=True, kw_only=True)
class CarriedSecrets:
    """Signing keys as Synapse writes them, the one that signs first, and what else has a value; "" without.

    `old_signing_keys` is that key of homeserver.yaml.
    """

    signing_keys: tuple[str, ...] = field(repr=False)
    old_signing_keys: Mapping[str, Any]
    macaroon_secret_key: str = field(repr=False)
    form_secret: str = field(repr=False)
    password_pepper: str = field(repr=False)

    @property
    def public_keys(self) -> dict[str, bytes]:
        """The public half of each signing key by its id, `ed25519:VERSION`."""
        halves = {}
        for line in self.signing_keys:
            _, version, seed = line.split()
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(f"{seed}="))
            halves[f"ed25519:{version}"] = key.public_key().public_bytes_raw()
        return halves

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of every key that this server may have signed with."""
        return frozenset(self.public_keys) | frozenset(map(str, self.old_signing_keys))


def read_secrets(config: ForeignConfig) -> CarriedSecrets:
    """Return the secrets of another server; HelperError if one that it needs is not there."""
    passwords = config.document.get("password_config")
    pepper = passwords.get("pepper") if isinstance(passwords, dict) else None
    old = config.document.get("old_signing_keys")
    return CarriedSecrets(
        signing_keys=_read_signing_keys(config),
        old_signing_keys=old if isinstance(old, dict) else {},
        # As Synapse does: without the one it takes the other.
        macaroon_secret_key=config.read_secret("macaroon_secret_key")
        or config.read_secret("registration_shared_secret"),
        form_secret=config.read_secret("form_secret"),
        password_pepper=str(pepper or ""),
    )


def _read_signing_keys(config: ForeignConfig) -> tuple[str, ...]:
    inline = config.document.get("signing_key")
    name = str(config.document.get("signing_key_path") or f"{config.server_name}.signing.key")
    text = str(inline) if inline else _read_file(config.find(name))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not all(map(_LINE.fullmatch, lines)):
        raise HelperError(
            f"the signing key, {name}, is not a line such as `ed25519 a_bcde …`. Nothing was changed. Put"
            " the file back that belongs to this server: nobody can make another one."
        )
    return tuple(line.rstrip("=") for line in lines)


def _read_file(path: Path | None) -> str:
    try:
        return path.read_text(encoding="ascii") if path else ""
    except (OSError, UnicodeDecodeError):
        return ""

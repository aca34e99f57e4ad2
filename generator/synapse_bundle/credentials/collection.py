"""All secrets of a bundle: those that exist are kept, the others are generated or copied."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from .. import user_files
from ..errors import SettingsError
from ..settings.model import Settings
from . import authority_check, provided, signing_keys
from .file_names import (
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    BACKUP_PASSWORD,
    DIRECTORY,
    OLD_SIGNING_KEYS,
    PROVIDED,
    ROLE_PASSWORD,
    SIGNING_KEY,
    SUPERUSER_PASSWORD,
    TUNNEL,
)
from .generated import CHECKS, MAKERS, WORKER_MAKERS
from .signing_keys import ExpiredKey


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Secret values by the name of their file; a file's last newline is not part of the value.

    `given` are the names of those that were given to this run, in place of what the files hold.
    """

    values: Mapping[str, str] = field(repr=False)
    given: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def verify_key(self) -> str:
        """The public half of the signing key, as `ed25519:VERSION BASE64` (Matrix: unpadded)."""
        return signing_keys.derive_verify_key(self[SIGNING_KEY])

    @property
    def old_signing_keys(self) -> list[ExpiredKey]:
        """The signing keys that were replaced, the oldest first."""
        return signing_keys.read_old(self.values.get(OLD_SIGNING_KEYS, ""))

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
    """Return the bundle's credentials, generating what is missing; nothing is written.

    `base` is the directory that file names in the settings are relative to, `given` are secrets
    that were given to this run, by the name of their file, `now` defaults to the clock. Raises
    SettingsError that lists every unusable secret file by name, never by content.
    """
    directory = bundle / DIRECTORY
    if directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
        raise SettingsError(
            f"{directory} cannot be read; run as its owner, or give it back: chown, chmod 0700"
        )
    now = now or datetime.now(UTC)
    problems: list[str] = []
    values = _read_generated(bundle, settings, given, problems)
    values |= provided.read(bundle / DIRECTORY, settings, base, _read_secret, problems, given)
    if AUTHORITY_CERTIFICATE in values and AUTHORITY_KEY not in values:
        problems.append("secrets/authority.key is missing; delete authority.pem to make a new pair")
    if not any("authority." in problem for problem in problems):
        problems += authority_check.find_faults(values, now)
    problems += _find_losses(values, bundle, settings)
    if problems:
        raise SettingsError("The bundle's secrets cannot be used; nothing was written.", problems)
    return Credentials(values=_create_missing(values, settings, now), given=frozenset(given))


def _read_generated(
    bundle: Path, settings: Settings, given: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    """Return the secrets that were generated or given, by name; what is unusable is a problem."""
    values = {name: text for name, text in given.items() if name not in PROVIDED}
    for name, check in CHECKS.items():
        if name in values or name in list_needless(settings):
            continue
        text = _read_secret(bundle / DIRECTORY / name, check, problems)
        if text is not None:
            values[name] = text
    return values


def list_needless(settings: Settings) -> frozenset[str]:
    """Return the generated secrets that are not made here, and not read where they exist."""
    workers = () if settings.processes else tuple(WORKER_MAKERS)
    database = (SUPERUSER_PASSWORD, BACKUP_PASSWORD) if settings.has_external_database else ()
    role = (ROLE_PASSWORD,) if settings.database else ()
    return frozenset((*workers, *database, *role))


def _find_losses(values: Mapping[str, str], bundle: Path, settings: Settings) -> list[str]:
    """Return a problem for each secret that must never be made a second time, and is missing."""
    problems = []
    if SIGNING_KEY not in values and (bundle / "compose.yaml").exists():
        problems.append(
            "secrets/signing.key is missing: other servers know this one by it. Restore it from a"
            " backup; for a new identity, delete compose.yaml too"
        )
    repository = settings.backup.repository
    needed = BACKUP_PASSWORD not in values and BACKUP_PASSWORD not in list_needless(settings)
    if needed and _may_hold_sets(bundle, repository):
        problems.append(_explain_lost_password(bundle, repository))
    return problems


def _may_hold_sets(bundle: Path, repository: str) -> bool:
    """Say whether a repository may have been made; only a folder of the bundle is sure to be there."""
    try:
        # An early version made no backups.
        made = f"{DIRECTORY}/{BACKUP_PASSWORD}" in (bundle / "compose.yaml").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return made and (not repository.startswith("./") or (bundle / repository / "config").exists())


def _explain_lost_password(bundle: Path, repository: str) -> str:
    return (
        f"secrets/{BACKUP_PASSWORD} is missing, and without it no set in {repository} can be read: it is on"
        " the recovery card, so write it into that file again; or, to give up those sets, set"
        " backup.repository to an empty place and make another password with"
        f" `openssl rand -hex 32 >{shlex.quote(str(bundle / DIRECTORY / BACKUP_PASSWORD))}`"
    )


def _create_missing(values: dict[str, str], settings: Settings, now: datetime) -> dict[str, str]:
    """Return all values, with generated ones for those that do not exist yet."""
    known = values.keys() | list_needless(settings)
    makers = MAKERS | WORKER_MAKERS
    created = {name: make() for name, make in makers.items() if name not in known}
    if AUTHORITY_CERTIFICATE not in values:
        created |= _create_authority(values.get(AUTHORITY_KEY), settings, now)
    return values | created


def _create_authority(key: str | None, settings: Settings, now: datetime) -> dict[str, str]:
    """Return the authority's files; an existing key is kept, because devices trust it."""
    # Imported here: only the first run makes an authority.
    from . import authority

    private = key or authority.create_key().rstrip("\n")
    certificate = authority.certify(private, settings.authority_names, now).rstrip("\n")
    return {AUTHORITY_KEY: private, AUTHORITY_CERTIFICATE: certificate}


def _read_secret(path: Path, check: Callable[[str], str], problems: list[str]) -> str | None:
    """Return a secret's value, or None where it does not exist or is unusable."""
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

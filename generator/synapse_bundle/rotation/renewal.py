"""The new values of secrets, and what has to be written beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from ..credentials import authority, signing_keys
from ..credentials.collection import Credentials
from ..credentials.file_names import (
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    OLD_SIGNING_KEYS,
    SIGNING_KEY,
)
from ..credentials.generated import MAKERS, WORKER_MAKERS
from ..credentials.signing_keys import ExpiredKey
from ..errors import SettingsError
from ..settings.model import Settings
from .journal import Journal

_OVERRIDE: Final = "synapse/homeserver.override.yaml"


def begin(
    names: Iterable[str], credentials: Credentials, settings: Settings, now: datetime
) -> Journal:
    """Return a rotation with a new value for each name; nothing is written."""
    chosen = tuple(names)
    new: dict[str, str] = {}
    for name in chosen:
        if name == AUTHORITY_KEY:
            key = authority.create_key().rstrip("\n")
            certificate = authority.certify(key, settings.authority_names, now).rstrip("\n")
            new |= {AUTHORITY_KEY: key, AUTHORITY_CERTIFICATE: certificate}
        else:
            new[name] = (MAKERS | WORKER_MAKERS)[name]()
    old = {name: credentials[name] for name in new}
    return Journal(names=chosen, old=old, new=new)


def complete(journal: Journal, kept: str, bundle: Path, expiry: datetime) -> dict[str, str]:
    """Return every secret that a rotation writes, by its file name.

    With a new signing key that is also the old one, in a file of its own, and the list of all old
    ones: those of `kept`, the list so far, those that the operator's own configuration of Synapse has,
    which the list replaces there, and this one, which signs nothing after `expiry`.
    """
    if SIGNING_KEY not in journal.new:
        return dict(journal.new)
    signing_key = journal.old[SIGNING_KEY]
    keys = [*_read_override(bundle), *signing_keys.read_old(kept)]
    keys.append(signing_keys.expire(signing_key, expiry))
    _, version, _ = signing_key.split()
    return {
        **journal.new,
        f"{SIGNING_KEY}.{version}": signing_key,
        OLD_SIGNING_KEYS: signing_keys.write_old(keys),
    }


def _read_override(bundle: Path) -> list[ExpiredKey]:
    """Return the old keys in the operator's own configuration; SettingsError if they are malformed."""
    path = bundle / _OVERRIDE
    keys: list[ExpiredKey] = []
    try:
        document = yaml.safe_load(path.read_bytes()) if path.is_file() else None
        found: Mapping[str, Any] = (document or {}).get("old_signing_keys") or {}
        keys = [
            ExpiredKey(id=str(name), public=str(entry["key"]), expired=int(entry["expired_ts"]))
            for name, entry in found.items()
        ]
        fault = signing_keys.check_old(signing_keys.write_old(keys))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        fault = "is not of the form {'ed25519:VERSION': {key: …, expired_ts: …}}; correct it"
    if fault:
        raise SettingsError("Nothing was changed.", [f"{_OVERRIDE}: old_signing_keys {fault}"])
    return keys

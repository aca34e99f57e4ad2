"""The signing key in a set is the one of the server here, or was: without it, the server is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signedjson.key import encode_verify_key_base64, get_verify_key, read_signing_keys

if TYPE_CHECKING:
    from pathlib import Path

    from ..backup.repository import Repository
    from ..backup.sets import BackupSet


def list_key_faults(repository: Repository, chosen: BackupSet) -> list[str]:
    """Return what is wrong with the signing key in a set, compared with the one of the server here."""
    settings, manifest = repository.settings, chosen.manifest
    here, there = settings.verify_key, manifest.verify_key
    if there not in settings.own_keys:
        return [f"the set has the signing key {there}, and the server here {here}"]
    folder = settings.repository.password_file.parent
    files = [path for path in sorted(folder.iterdir()) if here in _read_keys(_read_here(path))]
    if not files:
        return [f"no file in secrets/ holds the signing key of the server here, {here}"]
    # A set from before a rotation has the key of then, in the same file.
    if there not in _read_keys(repository.read(chosen.snapshot, str(files[0]))):
        return [f"secrets/{files[0].name} in the set holds another signing key than {there}"]
    return []


def _read_here(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _read_keys(text: str) -> list[str]:
    """Return the public keys of the signing keys in `text`, as Synapse writes them."""
    try:
        keys = [get_verify_key(key) for key in read_signing_keys(text.splitlines())]
    except (ValueError, KeyError):
        return []
    return [f"{key.alg}:{key.version} {encode_verify_key_base64(key)}" for key in keys]

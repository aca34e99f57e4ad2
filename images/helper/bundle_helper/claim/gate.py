"""What opens with the claim and closes without it: the tunnel's credential, and Apache's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings.claim_settings import ClaimSettings

# cloudflared and Apache have other users, and nobody else mounts these volumes.
_READABLE: Final = 0o644


def open_gate(settings: ClaimSettings) -> None:
    """Release the tunnel's credential, and let Apache answer; HelperError if that is impossible."""
    _change(settings.stood_down_file, None)
    if settings.credential_file is not None:
        _change(settings.released_file, settings.credential_file.read_bytes())


def close_gate(settings: ClaimSettings, *, stood_down: bool) -> None:
    """Withdraw the credential; if another copy serves, have Apache refuse; HelperError as above."""
    _change(settings.released_file, None)
    _change(settings.stood_down_file, b"" if stood_down else None)


def name_data(settings: ClaimSettings, instance: str) -> None:
    """Tell Apache which data this is, for the header by which two copies are told apart."""
    _change(settings.instance_hash_file, instance.encode())


def _change(path: Path, content: bytes | None) -> None:
    """Bring a file to this content, or remove it; what is right already is left alone."""
    try:
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.is_file() or path.read_bytes() != content:
            storage.replace(path, content, _READABLE)
    except OSError as error:
        raise HelperError(
            f"{path} cannot be changed ({error.strerror}). Check the volume mounted at"
            f" {path.parent}: its owner must be this container's user, and it must not be full."
        ) from error

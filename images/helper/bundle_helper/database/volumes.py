"""Fresh named volumes belong to root; here each gets the owner its service runs as."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..settings.bootstrap_settings import VolumeOwner

# Synapse spools uploads there as it would in /tmp: no other user may read them.
_PRIVATE_NAME: Final = "uploads"
_PRIVATE_MODE: Final = 0o700


def ensure_owners(owners: Iterable[VolumeOwner]) -> tuple[str, ...]:
    """Give each volume's top directory its owner; return one sentence per change.

    Content is left alone: it was written by the owner. HelperError says what prevented that.
    """
    return tuple(change for owner in owners for change in _ensure_owner(owner.path, owner.uid))


def _ensure_owner(path: Path, uid: int) -> tuple[str, ...]:
    try:
        return _give(path, uid)
    except FileNotFoundError:
        raise HelperError(
            f"{path} is not mounted, but VOLUME_OWNERS names it. Run `make generate`"
            " (or copy the whole bundle again), then `docker compose up -d`.",
        ) from None
    except PermissionError as error:
        raise HelperError(
            f"{path} cannot be given to user {uid} ({error.strerror}). This container needs"
            " user 0 and `cap_add: [CHOWN]`, and storage that stores owners (an NFS export with"
            f" root_squash does not): there, run `chown {uid}:{uid}` on the volume yourself.",
        ) from error
    except OSError as error:
        raise HelperError(
            f"{path} cannot be given to user {uid} ({error.strerror}). Check the storage behind"
            " that volume: it must be writable and sound. Then `docker compose up -d`.",
        ) from error


def _give(path: Path, uid: int) -> tuple[str, ...]:
    found = path.stat()
    private = path.name == _PRIVATE_NAME
    if private and stat.S_IMODE(found.st_mode) != _PRIVATE_MODE:
        # Root with CHOWN but without FOWNER may change the mode of its own directories alone.
        if found.st_uid != os.geteuid():
            os.chown(path, os.geteuid(), os.getegid())
        path.chmod(_PRIVATE_MODE)
    elif found.st_uid == uid:
        return ()
    os.chown(path, uid, uid)
    return (f"{path} now belongs to user {uid}",)

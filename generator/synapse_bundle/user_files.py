"""Files that the user names: only regular ones of a limited size are read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

# Bytes; every root certificate of a browser together is a quarter of this.
_LARGEST: Final = 1024 * 1024


def read(path: Path, largest: int = _LARGEST) -> bytes:
    """Return the content of a regular file.

    Raises OSError, its `strerror` for people, also for a file of another kind (a FIFO would block, a
    device never ends) and for one of more than `largest` bytes.
    """
    # Nonblocking: opening a FIFO would wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"larger than {largest // 1024} KiB", str(path))
    return data

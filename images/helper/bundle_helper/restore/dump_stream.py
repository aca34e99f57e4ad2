"""The dump of a set as a stream: counted on its way, because a program reads what it gets until it ends."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from ..backup.sets import DUMP_FILE
from ..errors import HelperError

if TYPE_CHECKING:
    from ..backup.manifest import SetManifest
    from ..backup.progress import Report
    from ..backup.repository import Repository

_CHUNK: Final = 1 << 20


def stream_dump(repository: Repository, manifest: SetManifest, target: int, report: Report) -> None:
    """Write the dump to the descriptor `target`; RepositoryError or HelperError if it is not whole.

    BrokenPipeError if the reader of `target` has ended long before.
    """
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as executor:
        dump = executor.submit(_dump, repository, manifest.dump_snapshot, writing)
        try:
            done = _pass_on(reading, target, manifest.dump_bytes, report)
        finally:
            # Ends restic, if nobody reads any further.
            os.close(reading)
        dump.result()
        _require_whole(done, manifest)


def _dump(repository: Repository, snapshot: str, writing: int) -> None:
    try:
        repository.dump(snapshot, f"/{DUMP_FILE}", writing)
    finally:
        os.close(writing)


def _pass_on(reading: int, target: int, size: int, report: Report) -> int:
    done = 0
    try:
        while moved := os.splice(reading, target, _CHUNK):
            done += moved
            report(done, size)
    except BrokenPipeError:
        # A program that has read all of it may end before restic does.
        rest = _read_rest(reading)
        if rest > _CHUNK:
            raise
        done += rest
    return done


def _read_rest(reading: int) -> int:
    """Return how many bytes there still are; of many, some more than a chunk."""
    rest = 0
    while rest <= _CHUNK and (part := os.read(reading, _CHUNK)):
        rest += len(part)
    return rest


def _require_whole(done: int, manifest: SetManifest) -> None:
    if done != manifest.dump_bytes:
        raise HelperError(
            f"the dump of the set {manifest.set} has {done} bytes, not {manifest.dump_bytes}. Choose"
            " another set, which `docker compose run --rm backup list` shows."
        )

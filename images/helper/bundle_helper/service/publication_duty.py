"""The duty that brings what the helper publishes to the pods of a cluster: by one Secret that they mount."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .. import status, storage
from ..certificates import published
from ..cluster.secret import write_secret
from ..errors import HelperError
from .duty import DUE, FILES, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

_SOON_SECONDS: Final = 10.0


def keep_publication(settings: ServiceSettings) -> None:
    """Make the Secret hold what the published files do, and leave how that went."""
    if settings.publication is None:
        return
    paths = list_published(settings)
    # Before they are read: what changes meanwhile is seen next time.
    stamps = {str(path): stamp(str(path)) for path in paths}
    problem = None
    try:
        write_secret(settings.publication, {path.name: _read(path) for path in paths})
    except HelperError as error:
        problem = error.message
    content = {
        "problem": problem,
        FILES: stamps,
        DUE: time.time() + _SOON_SECONDS if problem else None,
    }
    storage.write_json(settings.state_directory / f"{status.PUBLICATION}.json", content)


def list_published(settings: ServiceSettings) -> list[Path]:
    """Return the files that other pods have to see: the certificate, and what the claim decides."""
    directory, claim = settings.certificate.directory, settings.claim
    paths = [directory / published.LIVE, directory / published.PREVIOUS]
    if claim is not None:
        paths += [claim.stood_down_file, claim.instance_hash_file]
    if claim is not None and claim.credential_file is not None:
        paths.append(claim.released_file)
    return paths


def _read(path: Path) -> bytes | None:
    """Return a file's content, or None while there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HelperError(f"{path} cannot be read: {error.strerror}") from error

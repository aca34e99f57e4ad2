"""Room on the disk with Docker's volumes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..settings.issuers import Acme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

# A machine of any size runs for a while with this much; on a small disk a tenth must do.
_SCARCE_BYTES: Final = 2 * 1024**3
_SCARCE_SHARE: Final = 10
_MEBIBYTE: Final = 1024**2


def check_disk(settings: ServiceSettings) -> str | None:
    """Check the disks of the volumes mounted here; Docker keeps all others beside them."""
    for directory in _list_directories(settings):
        try:
            disk = os.statvfs(directory)
        except OSError as error:
            return f"{directory} cannot be read ({error.strerror})"
        scarce = min(_SCARCE_BYTES, disk.f_blocks * disk.f_frsize // _SCARCE_SHARE)
        if disk.f_bavail * disk.f_frsize < scarce:
            return (
                f"less than {scarce // _MEBIBYTE} MiB are free on the disk with Docker's volumes;"
                " a full disk stops PostgreSQL"
            )
    return None


def _list_directories(settings: ServiceSettings) -> Iterator[Path]:
    yield settings.certificate.directory
    yield settings.database_report_file.parent
    if isinstance(settings.certificate.issuer, Acme):
        yield settings.certificate.issuer.lineages_directory

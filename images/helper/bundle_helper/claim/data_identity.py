"""Which data this bundle has, as bootstrap found it: a hash of its id, and how often it was restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from pathlib import Path


class DataIdentity(NamedTuple):
    """The hash of the data's id, and the epoch that belongs to it."""

    instance: str
    epoch: int


def read_identity(report: Path) -> DataIdentity:
    """Return what bootstrap's report says; HelperError if it does not."""
    content = storage.read_json(report)
    try:
        return DataIdentity(str(content["instance"]), int(content["epoch"]))
    except (LookupError, ValueError, TypeError) as error:
        raise HelperError(
            "bootstrap has not reported which data this is; `docker compose up -d`, then"
            " `docker compose logs bootstrap`"
        ) from error

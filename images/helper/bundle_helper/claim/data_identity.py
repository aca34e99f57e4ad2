"""Which data this bundle has, as bootstrap found it: a hash of its id, and how often it was restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

# Apache adds it to a few answers, so that two copies of a server can be told apart from outside.
_HEADER: Final = "X-Synapse-Bundle-Instance"


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


def is_of_other_data(headers: Message, report: Path) -> bool:
    """Say whether an answer names other data than this bundle's; not where either is unknown."""
    named = headers.get(_HEADER)
    try:
        return bool(named) and named != read_identity(report).instance
    except HelperError:
        return False

"""What may be known of the data outside the database: a hash of its id, and how often it was restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HelperError
from .instance import read_record

if TYPE_CHECKING:
    import psycopg


def describe_identity(superuser: psycopg.Connection, database: str) -> dict[str, object]:
    """Return `instance`, a SHA-256 of the id of the data in `database`, and its `epoch`.

    `superuser` is connected to the database `postgres`; HelperError if the data has no id.
    """
    record = read_record(superuser, database)
    if record is None:
        raise HelperError("the data has no id yet; `docker compose up -d` gives it one")
    return {
        "instance": record.hash,
        "epoch": record.epoch,
    }

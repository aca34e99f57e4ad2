"""Whether the server was retired: what is left of it neither starts, nor moves, nor is backed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HelperError

if TYPE_CHECKING:
    from .instance import InstanceRecord


def refuse_retired(record: InstanceRecord) -> None:
    """Raise HelperError if the server was retired, with the way back."""
    if record.moved is None or not record.moved.retired:
        return
    name = record.moved.set
    remedy = (
        "To bring it back as it was then: `docker compose down --volumes`, then `docker compose run --rm"
        f" restore {name}`, then `docker compose up -d`."
        if name
        else "No last set of it was made."
    )
    raise HelperError(
        f"this server was retired on {record.moved.time}, and has no accounts any more. Nothing was"
        f" changed. {remedy}"
    )

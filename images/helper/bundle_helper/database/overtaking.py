"""Whether another copy of this server has claimed its name, as the claim's own memory says.

Apache's refusal keeps clients from a copy that gave way, but Synapse would go on sending to other servers.
So its database is shut as well, until this copy holds the claim again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..claim.memory import read_memory
from ..claim.rules import Standing
from ..errors import HelperError

if TYPE_CHECKING:
    from ..settings.database_settings import DatabaseSettings
    from .instance import InstanceRecord


class OvertakenError(HelperError):
    """Another copy of this server has claimed its name."""


def read_standing(settings: DatabaseSettings, record: InstanceRecord) -> Standing:
    """Return where this very data stands; NEW if there is no claim, or no memory of it."""
    memory = settings.claim_directory and read_memory(settings.claim_directory)
    return memory.standing if memory and memory.instance == record.hash else Standing.NEW


def is_overtaken(settings: DatabaseSettings, record: InstanceRecord) -> bool:
    """Say whether another copy is the server: the database is shut for that, or is about to be."""
    standing = read_standing(settings, record)
    return standing is Standing.DOWN or (bool(record.overtaken) and standing is not Standing.HELD)


def explain(settings: DatabaseSettings) -> str:
    """Say why Synapse's database is shut, and what opens it."""
    if settings.claim_directory is None:
        # The claim is given up: its memory cannot say any more who is the server.
        remedy = (
            "stop the other and type `docker compose run --rm backup move --undo`, then"
            " `docker compose up -d`"
        )
    else:
        remedy = (
            "stop the other and type `docker compose exec helper claim take"
            f" {settings.server_name}`, then `docker compose up -d`"
        )
    return (
        "another copy of this server has claimed its name, so Synapse's database is shut here: it can"
        " neither change anything nor send to other servers. Stop this copy with `docker compose down`;"
        f" or, if it is the right one, {remedy}."
    )

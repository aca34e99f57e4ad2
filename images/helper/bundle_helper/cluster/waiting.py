"""What runs before the services of a pod, because a cluster starts all pods at once.

Without it Synapse would end at the first start, and again after longer and longer pauses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg

from ..database.connection import encrypt, first_line
from ..database.instance import read_record
from ..errors import HelperError
from ..exchange import OK, Answer, ask_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.wait_settings import DatabaseWait, HomeserverWait

_PAUSE_SECONDS: Final = 0.5


def wait_for_database(settings: DatabaseWait, tell: Callable[[str], None]) -> None:
    """Return when Synapse's role can sign in, however long that takes; say why it cannot yet.

    The role of an external database can from the beginning: there Synapse waits until the bootstrap has
    seen that the data is this server's, because it would make its tables in any empty database.
    """

    def find_obstacle() -> str:
        try:
            with psycopg.connect(
                host=settings.host,
                port=settings.port,
                dbname=settings.database,
                user=settings.role,
                password=settings.password.reveal(),
                connect_timeout=5,
                **encrypt(settings.external),
            ) as connection:
                proved = not settings.external or read_record(connection, settings.database)
        except psycopg.OperationalError as error:
            return first_line(error)
        return "" if proved else "the bootstrap has not proved it yet"

    _wait("the database", find_obstacle, tell, None)


def wait_for_homeserver(
    settings: HomeserverWait, tell: Callable[[str], None], longest: float | None
) -> None:
    """Return when Synapse is healthy, and of the wanted version; after `longest` seconds in any case.

    Its main process answers only when the schema of the database is that of its version.
    """

    def find_obstacle() -> str:
        try:
            status = ask_url(f"{settings.url}/health").status
            found = _read_version(ask_url(f"{settings.url}/_matrix/federation/v1/version"))
        except HelperError as error:
            return error.message
        if status not in OK:
            return f"it answers {status}"
        other = settings.version and found != settings.version
        return f"it is version {found}, not {settings.version}" if other else ""

    _wait("Synapse", find_obstacle, tell, longest)


def _read_version(answer: Answer) -> str:
    server = answer.json().get("server")
    # Synapse may add where it was built from, after a space.
    return str(server.get("version", "")).partition(" ")[0] if isinstance(server, dict) else ""


def _wait(
    what: str,
    find_obstacle: Callable[[], str],
    tell: Callable[[str], None],
    longest: float | None,
) -> None:
    start, reported = time.monotonic(), ""
    while obstacle := find_obstacle():
        if obstacle != reported:
            tell(f"waiting for {what}: {obstacle}")
            reported = obstacle
        if longest is not None and time.monotonic() - start > longest:
            tell(f"going on without {what} after {longest:.0f} s")
            return
        time.sleep(_PAUSE_SECONDS)
    tell(f"{what} is ready")

"""What runs before the services of a pod, because a cluster starts all pods at once.

Without it Synapse would end at the first start, and again after longer and longer pauses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg

from ..database.connection import encrypt, first_line
from ..database.folder_mark import name_folder, read_mark
from ..database.instance import read_record
from ..errors import HelperError
from ..exchange import OK, Answer, ask_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.wait_settings import DatabaseWait, HomeserverWait

_PAUSE_SECONDS: Final = 0.5


def wait_for_database(settings: DatabaseWait, tell: Callable[[str], None]) -> None:
    """Return when Synapse may use its database, however long that takes; say why it may not yet.

    Its role can sign in to any data that there was before. So Synapse waits until the bootstrap has seen
    that the data is that of this folder: it would start on another server's, or make its tables in an
    empty database.
    """
    folder = name_folder(settings.folder_file)

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
                marked = read_mark(connection, settings.database)
                # A dump that was loaded into an external database left the mark as it was.
                if settings.external and not read_record(connection, settings.database):
                    marked = ""
        except psycopg.OperationalError as error:
            return first_line(error)
        return "" if marked == folder else _explain_unproved(marked)

    _wait("the database", find_obstacle, tell, None)


def _explain_unproved(marked: str) -> str:
    data = "the data of another folder is in it" if marked else "it has not been proved yet"
    return f"{data}; the bootstrap says more: `kubectl logs deployment/helper -c bootstrap`"


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

"""The fence shuts Synapse's role out, whatever is started afterwards, and can be lifted."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bundle_helper.database import connection
from bundle_helper.database.fence import count_sessions, fence, lift
from bundle_helper.database.instance import InstanceRecord, Moved, read_record
from bundle_helper.errors import HelperError
from tests.helper.database.place import Place

pytestmark = pytest.mark.engine
MOVED = Moved(time="2026-11-27T08:00:00+00:00", set="")


def log_in(place: Place) -> psycopg.Connection:
    """Open a session of Synapse's role."""
    settings = place.settings
    return connection.connect(
        settings, settings.database_role, settings.role_password, settings.database_name
    )


@contextlib.contextmanager
def stubborn_sessions(place: Place) -> Iterator[threading.Event]:
    """Log in again and again, as Synapse's pool does; the event says that it was once refused."""
    refused, end = threading.Event(), threading.Event()

    def insist() -> None:
        while not end.is_set():
            try:
                with log_in(place) as role:
                    role.execute("SELECT pg_sleep(10)")
            except psycopg.OperationalError as error:
                if "not permitted to log in" in str(error):
                    refused.set()

    threads = [threading.Thread(target=insist) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield refused
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_the_fence_ends_every_session_and_refuses_new_ones(place: Place) -> None:
    """However often Synapse tries again, no session is left when the fence stands."""
    place.run()
    with stubborn_sessions(place) as refused, place.superuser() as superuser:
        fence(superuser, place.settings, MOVED)
        assert count_sessions(superuser, place.name) == 0
        assert refused.wait(30)
        lift(superuser, place.settings, 1)
        fence(superuser, place.settings, MOVED)
        assert count_sessions(superuser, place.name) == 0


def test_the_fence_outlives_the_bootstrap(place: Place) -> None:
    """Neither another start nor a new password of the role opens it."""
    place.run()
    with place.superuser() as superuser:
        fence(superuser, place.settings, MOVED)
    password = Path(place.environ["ROLE_PASSWORD_FILE"])
    former = password.read_text()
    password.write_text(secrets.token_hex(16) + "\n")
    assert place.run()[0] == 1
    password.write_text(former)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        log_in(place)


def test_the_fence_and_its_end_can_be_repeated(place: Place) -> None:
    """Twice is as good as once; afterwards Synapse starts as before, in the new epoch."""
    place.run()
    with place.superuser() as superuser:
        first = fence(superuser, place.settings, MOVED)
        assert fence(superuser, place.settings, MOVED) == first
        lifted = lift(superuser, place.settings, 2)
        assert lift(superuser, place.settings, 2) == lifted
        assert read_record(superuser, place.name) == lifted
    assert lifted == InstanceRecord(id=place.instance.read_text().strip(), epoch=2)
    log_in(place).close()
    assert place.run()[0] == 0


def test_what_was_never_started_cannot_be_fenced(place: Place) -> None:
    """Without data there is nothing to move, and nothing is written."""
    with place.superuser() as superuser:
        with pytest.raises(HelperError, match="there is no data here"):
            fence(superuser, place.settings, MOVED)
        assert read_record(superuser, place.name) is None

"""A real server of restic's REST protocol, and connections that are cut in the middle of a set."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import repository, sets
from bundle_helper.backup.creation import make_set
from bundle_helper.backup.ownership import open_repository
from bundle_helper.backup.repository_errors import RepositoryError
from bundle_helper.backup.routine import perform
from tests.helper.backup import programs
from tests.helper.backup.waiting_dump import read_processes, start_waiting
from tests.support.engine import docker
from tests.support.ports import find_port
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle_helper.backup.manifest import SetManifest
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


@contextmanager
def rest_server(place: Place, *options: str) -> Iterator[str]:
    """Serve restic's REST protocol with a login, and point the settings at it; yield the container."""
    programs.build_image()
    port, password = find_port(), secrets.token_urlsafe(12)
    container = docker(
        *("run", "--detach", "--publish", f"127.0.0.1:{port}:8000", "--entrypoint", "rclone"),
        *(programs.TAG, "serve", "restic", "--addr=:8000", "--user=me", f"--pass={password}"),
        *(*options, "/srv"),
    ).strip()
    credentials = place.root / "bundle/secrets/backup_credentials"
    credentials.write_text(f"RESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD={password}\n")
    place.environ.update(
        BACKUP_REPOSITORY=f"rest:http://127.0.0.1:{port}/sets/",
        BACKUP_REPOSITORY_NAME=f"rest:http://127.0.0.1:{port}/sets",
        BACKUP_CREDENTIALS_FILE=str(credentials),
    )
    try:
        wait_for(lambda: answers(port), "the REST server answers")
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def answers(port: int) -> bool:
    """Say whether it answers, if only that a login is missing."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == HTTPStatus.UNAUTHORIZED
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def make(place: Place) -> SetManifest:
    """Open the repository and make a set."""
    opened = place.repository
    open_repository(opened)
    return make_set(place.settings, opened, "manual", place.progress)


def list_sets(place: Place) -> list[SetManifest]:
    """Return the complete sets, newest first."""
    return [found.manifest for found in sets.list_sets(place.repository)]


def test_sets_at_a_rest_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets are made and listed there; a wrong login is one sentence, without the password."""
    with rest_server(place):
        credentials = place.root / "bundle/secrets/backup_credentials"
        password = credentials.read_text().strip().rpartition("=")[2]
        with start_waiting(place, make) as waiting:
            assert password not in read_processes()
            first = waiting.release()
        assert list_sets(place) == [first]
        credentials.write_text("RESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD=another\n")
        monkeypatch.setattr(repository, "_PATIENCE_SECONDS", 5.0)
        with pytest.raises(RepositoryError, match=r"/sets cannot be used: .*401") as caught:
            place.repository.read_id()
        assert "another" not in caught.value.message


def test_a_server_that_only_takes(place: Place) -> None:
    """With `append_only` every step of the routine works there, and nothing can be removed."""
    place.environ["BACKUP_APPEND_ONLY"] = "yes"
    with rest_server(place, "--append-only"):
        first = perform(place.settings, "manual", place.progress)
        second = perform(place.settings, "manual", place.progress)
        before = place.repository.snapshots()
        with pytest.raises(RepositoryError, match="append_only: true"):
            place.repository.forget([one.id for one in before])
        assert place.repository.snapshots() == before
        assert list_sets(place) == [second, first]


def test_a_server_that_is_gone_for_a_moment(place: Place) -> None:
    """While the dump is stored the server is restarted: what fails is sent again, and the set is whole."""
    with rest_server(place) as container, start_waiting(place, make) as waiting:
        stop_in_the_middle(container)
        waiting.locking.execute("COMMIT")
        wait_for(lambda: not waiting.is_held(), "the dump is on its way")
        assert not waiting.outcome.done()
        docker("start", container)
        manifest = waiting.outcome.result()
        assert list_sets(place) == [manifest]


def stop_in_the_middle(container: str) -> None:
    """Stop a server once restic has reached it: it begins by leaving a lock there."""
    looking = ("exec", container, "sh", "-c", "ls /srv/sets/locks/* 2>/dev/null || true")
    wait_for(lambda: docker(*looking), "restic has begun")
    docker("stop", "--time=0", container)


def test_a_connection_that_is_cut(place: Place, ssh_server: str) -> None:
    """The set fails with one sentence and the old one stands; once the server is back the next is whole."""
    first = make(place)
    with start_waiting(place, make) as waiting:
        stop_in_the_middle(ssh_server)
        waiting.locking.execute("COMMIT")
        with pytest.raises(RepositoryError, match="cannot be used: ") as caught:
            waiting.outcome.result()
    assert "Check that it can be reached" in caught.value.message
    docker("start", ssh_server)
    wait_for(lambda: is_reached(place), "sshd is back")
    assert list_sets(place) == [first]
    second = make(place)
    assert list_sets(place) == [second, first]


def is_reached(place: Place) -> bool:
    """Say whether the repository answers."""
    try:
        place.repository.read_id()
    except RepositoryError:
        return False
    return True

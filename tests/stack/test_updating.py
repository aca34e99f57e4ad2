"""A running server is updated while somebody writes: to versions that hold, and to images that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from synapse_bundle.updating import kept_images
from tests.stack.encrypted_conversation import open_conversation
from tests.stack.message_sender import Sender, open_sender
from tests.stack.updatable import PRESENT, Updatable, open_updatable
from tests.support.engine import docker

pytestmark = pytest.mark.engine

EARLIER: Final = "v1.162.0"
LATER: Final = "v1.164.0rc3"
# Each is the pinned image with another end of its story.
DOES_NOT_START: Final = 'ENTRYPOINT ["false"]\n'
FAILS_THE_CHECK: Final = """\
RUN echo 'password_config: {enabled: false}' >/wrong.yaml
ENTRYPOINT ["/bin/sh", "-c", "exec /start.py \\"$@\\" -c /wrong.yaml", "--"]
"""
# As one that has changed the tables and then finds a fault in them.
DIES_IN_THE_SCHEMA: Final = """\
COPY raise.py /raise.py
ENTRYPOINT ["python3", "/raise.py"]
"""
RAISE: Final = """\
import psycopg2, sys, yaml
names = [name for flag, name in zip(sys.argv, sys.argv[1:]) if flag == "-c"]
found = {}
for name in names:
    found |= (yaml.safe_load(open(name)) or {}).get("database", {}).get("args", {})
found = {key: value for key, value in found.items() if not key.startswith("cp_")}
connection = psycopg2.connect(**found)
with connection, connection.cursor() as cursor:
    cursor.execute("UPDATE schema_compat_version SET compat_version = 999")
raise SystemExit("the migration failed")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Updatable]:
    """A server of the Synapse before the pinned one, which is used."""
    with open_updatable(tmp_path_factory.mktemp("updating"), "updating", EARLIER) as made:
        # Both services have one image; the set needs it before an update may take what is here.
        made.stack.build("--profile", "tools")
        made.stack.up()
        yield made


@pytest.fixture(scope="module")
def sender(server: Updatable) -> Iterator[Sender]:
    with open_sender(server.stack) as sending:
        yield sending


@contextmanager
def talk(server: Updatable, folder: Path) -> Iterator[None]:
    """Let two clients talk in an encrypted room; afterwards nothing of it may be lost."""
    with open_conversation(server.stack, folder) as conversation:
        yield
        conversation.wait_for_more()
        conversation.assert_nothing_is_lost()


def test_an_update_that_is_killed_is_finished(server: Updatable, tmp_path: Path) -> None:
    """Killed while containers are replaced; the next run waits for what was started, and ends it."""
    image = server.pin(PRESENT.tag)
    with talk(server, tmp_path):
        server.kill_at("start ...")
        said = ""
        while "is in use" in (said := run_again(server)):
            pass
        assert "An update was cut off; what follows finishes it." in said
        assert "The update stands." in said
        assert server.image == image
        server.assert_finished()


def run_again(server: Updatable) -> str:
    """Update once more, which may find that the folder is in use."""
    with server.open_update("--offline") as process:
        said, _ = process.communicate()
    assert process.returncode == 0 or "is in use" in said, said
    return said


def assert_nothing_is_lost(sender: Sender) -> None:
    """Fail unless the server goes on, and has every message that it has acknowledged until now."""
    sender.wait_for_more()
    acknowledged = {*sender.acknowledged}
    assert acknowledged - sender.read_room().keys() == set()


@pytest.mark.parametrize(
    ("number", "dockerfile", "reason"),
    [
        (4, DOES_NOT_START, "synapse does not start"),
        (5, FAILS_THE_CHECK, "The check failed, and did not before"),
    ],
    ids=["does not start", "fails the check"],
)
def test_an_image_that_is_wrong_goes_by_itself(
    server: Updatable, sender: Sender, number: int, dockerfile: str, reason: str
) -> None:
    """The old image runs again, and no message that was acknowledged is lost."""
    before = server.image
    files = (server.stack.directory / "compose.yaml").read_bytes()
    server.release(number, dockerfile)
    said = server.update(1)
    assert reason in said
    assert "LOST" not in said
    assert server.image == before
    assert (server.stack.directory / "compose.yaml").read_bytes() == files
    assert "FAILED" not in said
    assert_nothing_is_lost(sender)


def test_data_comes_back_where_the_old_image_cannot_read_it(
    server: Updatable, sender: Sender
) -> None:
    """Only what came after the set is lost, and that is said."""
    before, image = set(sender.acknowledged), server.image
    server.release(6, DIES_IN_THE_SCHEMA, **{"raise.py": RAISE})
    said = server.update(1)
    assert "The old Synapse cannot read the database" in said
    assert server.image == image
    assert "FAILED" not in said
    sender.wait_for_more()
    acknowledged = {*sender.acknowledged}
    lost = acknowledged - sender.read_room().keys()
    assert lost & before == set()
    announced = re.search(r"LOST: (\d+) events since", said)
    assert announced
    assert 0 < len(lost) <= int(announced[1])


def test_the_next_version_stands_and_is_taken_back(server: Updatable, tmp_path: Path) -> None:
    """What went back by itself before is not what is taken back; a second time there is none.

    What was kept for the way back is not kept any longer.
    """
    before, image = server.image, server.pin(LATER)
    with talk(server, tmp_path):
        said = server.update(0)
        assert "The update stands." in said
        assert server.image == image
        server.assert_finished()
        said = server.update(0, "--back")
        assert "LOST" not in said
        assert server.image == before
        server.assert_finished()
    assert "There is no update to take back" in server.update(1, "--back")
    listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert kept_images.name_kept(server.stack.project, before) not in listed

"""A running server is updated while somebody writes: to an image that holds, and to three that do not."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from synapse_bundle import images
from synapse_bundle.updating import update_journal
from tests.stack.conftest import keep
from tests.stack.message_sender import Sender, open_sender
from tests.support.engine import docker, try_docker
from tests.support.stacks import REPOSITORY, Stack, generate

pytestmark = pytest.mark.engine

PRESENT: Final = images.read_pins()["synapse"]
# Each is the pinned image with another end of its story.
HOLDS: Final = "RUN touch /newer\n"
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


@dataclass(frozen=True, kw_only=True)
class Updatable:
    """A running server, and a checkout that is newer each time."""

    stack: Stack
    checkout: Path

    def release(self, number: int, dockerfile: str) -> str:
        """Let the checkout have a newer tag of Synapse, whose image is here; return its id."""
        tag = f"v1.163.{number}"
        context = self.checkout / "image"
        context.mkdir(exist_ok=True)
        (context / "raise.py").write_text(RAISE)
        (context / "Dockerfile").write_text(f"FROM {PRESENT.reference}\n{dockerfile}")
        docker("build", "--quiet", "--tag", f"{PRESENT.image}:{tag}", str(context))
        pins = self.checkout / "generator" / "synapse_bundle" / images.PINS.name
        text = images.PINS.read_text().replace(f'"{PRESENT.tag}"', f'"{tag}"')
        pins.write_text(text)
        return docker("image", "inspect", "--format", "{{.Id}}", f"{PRESENT.image}:{tag}")

    def open_update(self, *options: str) -> subprocess.Popen[str]:
        """Start the command of the checkout."""
        files = ["--settings", str(self.stack.settings), "--output", str(self.stack.directory)]
        command = [sys.executable, "-m", "synapse_bundle", "update", *files, "--yes", *options]
        return subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(self.checkout / "generator")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def update(self, code: int, *options: str) -> str:
        """Update without a registry, which has to end with a code; return what it says."""
        with self.open_update("--offline", *options) as process:
            said, _ = process.communicate()
        assert process.returncode == code, said
        assert "Traceback" not in said
        return said

    def kill_at(self, line: str) -> None:
        """Update, and kill the command, and nothing that it has started, when it says something."""
        with self.open_update("--offline") as process:
            assert process.stdout
            for said in process.stdout:
                if said.startswith(line):
                    break
            process.kill()
        assert process.returncode == -signal.SIGKILL

    @property
    def image(self) -> str:
        """The image that Synapse runs."""
        return str(self.stack.inspect("synapse")["Image"])

    def assert_finished(self) -> None:
        """Fail unless no update is under way, and the bundle's check holds."""
        engine = docker("info", "--format", "{{.ID}}")
        assert update_journal.read(self.stack.directory, engine).underway is None
        checked = self.stack.check()
        assert [row for row in json.loads(checked.stdout)["checks"] if not row["ok"]] == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Updatable]:
    folder = tmp_path_factory.mktemp("updating")
    checkout = folder / "checkout"
    for name in ("generator", "compose", "images"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, checkout / name, ignore=ignored)
    stack = generate(folder, "updating", "")
    try:
        for running in keep(stack):
            # Both services have one image; the set needs it before an update may take what is here.
            running.build("--profile", "tools")
            yield Updatable(stack=running, checkout=checkout)
    finally:
        listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        mine = (f"synapse-bundle/kept-{stack.project}:", f"{PRESENT.image}:v1.163.")
        made = [each for each in listed if each.startswith(mine) and each != PRESENT.reference]
        try_docker("image", "rm", "--force", *made)


@pytest.fixture(scope="module")
def sender(server: Updatable) -> Iterator[Sender]:
    with open_sender(server.stack) as sending:
        yield sending


def test_an_update_that_is_killed_is_finished(server: Updatable, sender: Sender) -> None:
    """Killed while containers are replaced; the next run waits for what was started, and ends it."""
    image = server.release(3, HOLDS)
    server.kill_at("start ...")
    said = ""
    while "is in use" in (said := run_again(server)):
        pass
    assert "An update was cut off; what follows finishes it." in said
    assert "The update stands." in said
    assert server.image == image
    server.assert_finished()
    assert_nothing_is_lost(sender)


def assert_nothing_is_lost(sender: Sender) -> None:
    """Fail unless the server goes on, and has every message that it has acknowledged until now."""
    sender.wait_for_more()
    acknowledged = {*sender.acknowledged}
    assert acknowledged - sender.read_room().keys() == set()


def run_again(server: Updatable) -> str:
    with server.open_update("--offline") as process:
        said, _ = process.communicate()
    assert process.returncode == 0 or "is in use" in said, said
    return said


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
    server.release(6, DIES_IN_THE_SCHEMA)
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


def test_the_last_update_that_stood_is_taken_back(server: Updatable) -> None:
    """What went back by itself is not it; a second time there is none."""
    server.update(0, "--back")
    assert server.image == docker("image", "inspect", "--format", "{{.Id}}", PRESENT.reference)
    server.assert_finished()
    assert "There is no update to take back" in server.update(1, "--back")
    listed = docker("image", "ls", "--format", "{{.Repository}}")
    assert f"synapse-bundle/kept-{server.stack.project}" not in listed.split()

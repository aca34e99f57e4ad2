"""A server moves to another machine, and comes back from a backup, while two clients talk."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.stack.accounts import Person, register
from tests.stack.conftest import FEDERATION, keep, trust
from tests.stack.encrypted_conversation import Conversation, open_conversation
from tests.support.engine import docker, try_docker
from tests.support.matrix import escape
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

MOVER: Final = """\
server_name: mover.test
email: you@mover.test
certificates: own-authority
"""
PEER: Final = """\
server_name: peer.test
email: you@peer.test
certificates: own-authority
"""
# A user that no container knows, on a machine whose folders have names of their own.
STRANGER: Final = 4242
ELSEWHERE: Final = "neues Häuschen"
# Synapse's log after a rollback without a cure; the last one ends it.
MARKS_OF_A_ROLLBACK: Final = (
    "Bounding token from the future",
    "Got to-device.since from the future",
    "is behind table",
    "IncorrectDatabaseSetup",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Road:
    """A network in place of the internet, where each Apache has its server's names."""

    network: str

    def join(self, stack: Stack) -> None:
        """Connect a running stack, container by container; see test_federation."""
        names = (stack.server_name, stack.homeserver)
        aliases = [option for name in names for option in ("--alias", name)]
        for service, options in (("apache", aliases), ("synapse", []), ("helper", [])):
            docker("network", "connect", *options, self.network, stack.container(service))


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    network = f"test-moving-{os.getpid()}"
    docker("network", "create", network)
    yield Road(network=network)
    left = docker("network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", network)
    for container in left.split():
        try_docker("network", "disconnect", "--force", network, container)
    try_docker("network", "rm", network)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, Stack]:
    """The server that moves and one that stays; generated, not started."""
    mover, peer = (tmp_path_factory.mktemp(name) for name in ("mover", "peer"))
    return (
        generate(mover, "mover", MOVER, override=trust(peer), synapse=FEDERATION),
        generate(peer, "peer", PEER, override=trust(mover), synapse=FEDERATION),
    )


@pytest.fixture(scope="module")
def peer(pair: tuple[Stack, Stack], road: Road) -> Iterator[Stack]:
    for stack in keep(pair[1]):
        road.join(stack)
        yield stack


@pytest.fixture(scope="module")
def old(pair: tuple[Stack, Stack], road: Road) -> Iterator[Stack]:
    for stack in keep(pair[0]):
        road.join(stack)
        yield stack


@pytest.fixture(scope="module")
def conversation(
    old: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    with open_conversation(old, tmp_path_factory.mktemp("keys") / "clients") as running:
        yield running


@pytest.fixture(scope="module")
def shared_room(old: Stack, peer: Stack) -> tuple[str, Person, Person]:
    """A room of the moving server, with a user of each server."""
    here, there = register(old), register(peer)
    room = here.create_room(preset="public_chat", room_alias_name="shared")
    there.call("POST", f"/join/{escape(f'#shared:{old.server_name}')}", {})
    there.send(room, "before the move")
    wait_for(lambda: "before the move" in here.read(room), "federation works before the move")
    return room, here, there


@pytest.fixture(scope="module")
def new(
    old: Stack, conversation: Conversation, shared_room: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The server after its move: the folder alone went elsewhere, to another user's directory."""
    conversation.wait_for_more(8)
    backup(old, "now")
    conversation.wait_for_more()
    # Accepted until the fence, refused from then on.
    said = backup(old, "move")
    assert "restore" in said
    _, _, there = shared_room
    there.send(shared_room[0], "while it moved")
    old.compose("down")
    folder = tmp_path_factory.mktemp("elsewhere") / ELSEWHERE
    shutil.copytree(old.directory, folder, symlinks=True)
    run(["chown", "--recursive", f"{STRANGER}:{STRANGER}", str(folder)])
    stack = dataclasses.replace(old, directory=folder, project=f"{old.project}-elsewhere")
    shared_room[1].__dict__["stack"] = stack
    try:
        restore(stack)
        yield from keep(stack)
    finally:
        stack.down()


def backup(stack: Stack, *command: str) -> str:
    """Run a command of the service `backup`; return what it printed."""
    return stack.compose("run", "--rm", "backup", *command).stdout


def restore(stack: Stack, *arguments: str) -> str:
    """Restore a set; return what it printed."""
    return stack.compose("run", "--rm", "restore", *arguments).stdout

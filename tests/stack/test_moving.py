"""A server moves to another machine, and comes back from a backup, while three clients talk."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.stack.accounts import Person, register
from tests.stack.encrypted_conversation import Conversation, find_device, open_conversation
from tests.stack.lifetime import keep
from tests.stack.matrix_js_talker import MatrixJsTalker, install_matrix_js
from tests.stack.neighbors import FEDERATION, trust
from tests.stack.sliding_client import SlidingClient, open_sliding_client
from tests.support import node
from tests.support.engine import docker, try_docker
from tests.support.matrix import escape
from tests.support.pages import read_commands
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.terminal import Terminal
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
    left = docker(
        "network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", network
    )
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
def matrix_js() -> Path | None:
    """The packages of the second kind of client, where there is a Node.js at all."""
    return install_matrix_js() if node.is_installed() else None


@pytest.fixture(scope="module")
def conversation(
    old: Stack, matrix_js: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    keys = tmp_path_factory.mktemp("keys") / "clients"
    with open_conversation(old, keys, matrix_js) as running:
        yield running


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedRoom:
    """A room of the moving server, with a user of each server in it."""

    room: str
    here: Person
    there: Person


@pytest.fixture(scope="module")
def shared_room(old: Stack, peer: Stack) -> SharedRoom:
    here, there = register(old), register(peer)
    room = here.create_room(preset="public_chat", room_alias_name="shared")
    there.call("POST", f"/join/{escape(f'#shared:{old.server_name}')}", {})
    there.send(room, "before the move")
    wait_for(lambda: "before the move" in here.read(room), "federation works before the move")
    return SharedRoom(room=room, here=here, there=there)


@pytest.fixture(scope="module")
def new(
    old: Stack,
    road: Road,
    conversation: Conversation,
    shared_room: SharedRoom,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """The server after its move: its folder alone went elsewhere, into another user's directory."""
    backup(old, "now")
    conversation.wait_for_more()
    backup(old, "move")
    shared_room.there.send(shared_room.room, "while it moved")
    old.compose("down")
    folder = tmp_path_factory.mktemp("elsewhere") / ELSEWHERE
    shutil.copytree(old.directory, folder, symlinks=True)
    run(["chown", "--recursive", f"{STRANGER}:{STRANGER}", str(folder)])
    moved = dataclasses.replace(old, directory=folder, project=f"{old.project}-elsewhere")
    try:
        restore(moved)
        for stack in keep(moved):
            road.join(stack)
            yield stack
    finally:
        moved.down()


def backup(stack: Stack, *command: str) -> str:
    """Run a command of the service `backup`; return what it printed."""
    return stack.compose("run", "--rm", "backup", *command).stdout


def restore(stack: Stack) -> None:
    """Restore the newest set."""
    stack.compose("run", "--rm", "restore")


def restore_by_name(stack: Stack, name: str) -> None:
    """Restore a set by its name, as docs/backup.md says."""
    [command] = (each for each in read_commands("backup.md") if each.endswith("restore SET"))
    Terminal(directory=stack.directory, project=stack.project).type(command.replace("SET", name))


def refuse_start(stack: Stack) -> str:
    """Try to start a server that must not start; return the bootstrap's reason."""
    assert stack.compose("up", "--detach", check=False).returncode
    assert "synapse" not in stack.compose("ps", "--services").stdout.split()
    return stack.compose("logs", "--no-log-prefix", "bootstrap").stdout


def test_a_move_is_undone_while_nobody_has_taken_over(
    old: Stack, road: Road, conversation: Conversation
) -> None:
    """A fenced server refuses writes and a start, until one command brings it back as it was."""
    conversation.wait_for_more()
    backup(old, "move")
    old.compose("down")
    assert "move --undo" in refuse_start(old)
    old.generate()
    assert "move --undo" in refuse_start(old)
    backup(old, "move", "--undo")
    old.up()
    road.join(old)
    conversation.wait_for_more()
    conversation.assert_nothing_is_lost()


def test_no_message_and_no_file_is_lost(new: Stack, conversation: Conversation) -> None:
    """The same sessions go on at the new machine, and can decrypt all that was ever said."""
    conversation.wait_for_more()
    conversation.assert_nothing_is_lost()
    conversation.assert_files_are_whole()
    for talker in conversation.talkers:
        assert not [failure for failure in talker.failures if "M_UNKNOWN_TOKEN" in failure]
        # Nobody had to sign in anew.
        assert find_device(talker.person) == talker.device


def test_a_client_of_another_kind_was_part_of_it(
    conversation: Conversation, matrix_js: Path | None
) -> None:
    """matrix-js-sdk has talked all the while, over the move too, where Node.js is installed."""
    if not matrix_js:
        pytest.skip("no node command is installed")
    assert [type(talker) for talker in conversation.talkers][2:] == [MatrixJsTalker]


def test_it_is_the_same_server(old: Stack, new: Stack) -> None:
    """Every check holds on the new machine, and it has the same signing key."""
    checked = new.check()
    report = json.loads(checked.stdout)
    assert [row for row in report["checks"] if not row["ok"]] == []
    keys = new.ask("GET", "/_matrix/key/v2/server").json["verify_keys"]
    assert list(keys) == ["ed25519:" + old.secret("signing.key").split()[1]]


def test_other_servers_did_not_notice(new: Stack, shared_room: SharedRoom) -> None:
    """What another server sent meanwhile arrives, and what is sent from now on, both ways."""
    room, there = shared_room.room, shared_room.there
    here = dataclasses.replace(shared_room.here, stack=new)
    # The other server waits longer after each failure; a message from here ends its wait.
    here.send(room, "arrived")
    wait_for(lambda: "arrived" in there.read(room), "the other server reads the new machine")
    there.send(room, "welcome")
    wait_for(
        lambda: {"while it moved", "welcome"} <= set(here.read(room)),
        "what the other server sent arrives",
    )


def test_synapse_does_not_notice_a_rollback(new: Stack) -> None:
    """None of the lines that Synapse writes when its streams went back."""
    assert find_marks(new) == []


def test_the_old_machine_stays_down(old: Stack, new: Stack) -> None:
    """Switched on again, it refuses to start, and says why."""
    # The new machine is this one, and has the ports: so only what comes before them is started.
    refused = old.compose("run", "--rm", "bootstrap", check=False)
    assert refused.returncode
    assert "this server moved to another machine" in refused.stderr
    old.compose("down")


def test_a_drill_proves_the_newest_set(new: Stack) -> None:
    """It loads a set beside the running server, compares everything, and leaves nothing."""
    backup(new, "now")
    before = list_containers_and_volumes(new)
    backup(new, "drill")
    assert list_containers_and_volumes(new) == before


def test_an_old_set_loses_only_what_came_after_it(new: Stack, conversation: Conversation) -> None:
    """Clients whose position is ahead of the restored server get every message all the same."""
    kept = set(conversation.acknowledged())
    sliding, sender = open_sliding_client(register(new)), register(new)
    room = sender.create_room(invite=[sliding.person.user_id])
    sliding.person.call("POST", f"/rooms/{escape(room)}/join", {})
    backup(new, "now")
    name = backup(new, "list").split()[0]
    sliding.receive_from(sender, 10)
    sender.send(room, "only before")
    wait_for(lambda: len(sliding.sync().to_device) == 10, "sliding sync is ahead of the set")
    conversation.wait_for_more(10)
    with conversation.silence():
        conversation.wait_until_read()
        new.down()
        restore_by_name(new, name)
        new.up()
        lost = conversation.accept_rollback()
        assert kept & lost == set()
        assert len(lost) >= 20
    # Fewer than it is ahead: what a server of that position sends it would delete.
    for number in (6, 8):
        sent = sliding.receive_from(sender, number)
        sender.send(room, sent[-1])
        wait_for(functools.partial(has_received, sliding, sent[-1]), "sliding sync goes on")
        assert sliding.to_device[-number:] == sent
    conversation.wait_for_more(20)
    conversation.assert_nothing_is_lost()
    assert find_marks(new) == []
    assert new.check().returncode == 0


def has_received(client: SlidingClient, text: str) -> bool:
    """Let a client ask once more; say whether it has a message of a room."""
    return text in client.sync().in_rooms


def find_marks(stack: Stack) -> list[str]:
    log = stack.compose("logs", "synapse").stdout
    return [line for line in log.splitlines() if any(mark in line for mark in MARKS_OF_A_ROLLBACK)]


def list_containers_and_volumes(stack: Stack) -> set[str]:
    mine = ("--quiet", f"--filter=label=com.docker.compose.project={stack.project}")
    return {*docker("ps", "--all", *mine).split(), *docker("volume", "ls", *mine).split()}

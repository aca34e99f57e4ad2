"""What the documents on backup, moving and packing say to type works as it is written there.

A drill's commands are typed in test_drill, those of a packed file in test_packing, and a set by its
name is restored in test_moving.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.stack.accounts import Person, register
from tests.support.pages import list_headings, read_commands, read_settings
from tests.support.stacks import Stack, generate
from tests.support.terminal import Terminal, open_checkout

pytestmark = pytest.mark.engine

BACKUP: Final = "backup.md"
MOVING: Final = "moving.md"
PACKING: Final = "packing.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with the settings that the page has; not started."""
    # A set that is made by itself during a test would be in its way.
    later = f"{datetime.now(UTC) + timedelta(hours=12):%H:%M}"
    settings = read_settings(BACKUP).replace("03:30", later)
    stack = generate(tmp_path_factory.mktemp("pages"), "pages", settings)
    try:
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def checkout(server: Stack) -> Terminal:
    """The checkout whose bundle/ the server is."""
    server.build("--profile", "tools")
    return open_checkout(server.directory.parent, server.project)


@pytest.fixture(scope="module")
def room(server: Stack, checkout: Terminal) -> tuple[Person, str]:
    """Somebody on the running server, and a room with a message."""
    checkout.type(read_commands(BACKUP)[0])
    server.wait_healthy()
    person = register(server)
    made = person.create_room()
    person.send(made, "before")
    return person, made


def test_three_lines_are_a_backup_every_night(checkout: Terminal, room: tuple[Person, str]) -> None:
    """The page counts right, and what it says to type starts the service that makes the sets."""
    assert len(read_settings(BACKUP).splitlines()) == 3
    assert "backup" in checkout.type("docker compose ps --services").split()


def test_the_table_of_commands(server: Stack, checkout: Terminal, room: tuple[Person, str]) -> None:
    """Each does what its row says, and `check` shows what they did."""
    _, make, show, card, load, by_name, with_make, newest, older, prove = read_commands(BACKUP)
    checkout.type(make)
    assert "manual" in checkout.type(show)
    assert f"password: {server.secret('backup_password')}\n" in checkout.show(card)
    checkout.type(load)
    seen = checkout.type(prove)
    assert "last set: " in seen
    assert "last drill: " in seen
    assert read_commands(BACKUP, "The recovery card") == [card]
    program, bare, *_ = read_commands(BACKUP, "Drill")
    assert (by_name, with_make) == (f"{program} [SET]", bare)
    assert [newest, f"{newest} SET"] == [read_commands(BACKUP, "Restore")[0], older]


def test_the_card_alone_brings_it_back(
    server: Stack,
    checkout: Terminal,
    room: tuple[Person, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where folder and data are gone, what the card says to type makes both from the repository."""
    person, place = room
    card = checkout.show(read_commands(BACKUP, "The recovery card")[0])
    fetch, own, enter, *start = re.findall(r"`((?:docker|sudo|cd|mv) [^`]+)`", card)
    server.compose("down")
    home = tmp_path_factory.mktemp("bare")
    bare = Terminal(directory=home, project=f"{server.project}-bare")
    found = replace(server, directory=home / "bundle", project=bare.project)
    shutil.copytree(server.directory / "backups", home / "repository")
    password = server.secret("backup_password")
    try:
        bare.show(fetch, question="password for repository", answer=password)
        # The tests are root, and a machine without sudo is one too.
        bare.type(own.removeprefix("sudo "))
        bare.type(" && ".join([enter, *start]))
        found.wait_healthy()
        assert "before" in replace(person, stack=found).read(place)
    finally:
        found.down()


def test_a_lost_server_comes_back(
    server: Stack, checkout: Terminal, room: tuple[Person, str]
) -> None:
    """With its data gone, the section's commands bring it back from the newest set."""
    person, place = room
    server.down()
    for command in read_commands(BACKUP, "Restore"):
        checkout.type(command)
    server.wait_healthy()
    assert "before" in person.read(place)


def test_a_move_is_taken_back(server: Stack, checkout: Terminal, room: tuple[Person, str]) -> None:
    """The fence holds against everything that the page names, until its command opens it."""
    leave, _, _ = read_commands(MOVING)
    undo, start, write, _ = read_commands(MOVING, "The old machine")
    for command in (leave, write):
        checkout.type(command)
    with pytest.raises(AssertionError, match="bootstrap"):
        checkout.type(start)
    for command in (undo, start):
        checkout.type(command)
    server.wait_healthy()
    person, place = room
    assert "before" in person.read(place)


def test_a_server_moves_in_one_file(
    server: Stack,
    checkout: Terminal,
    room: tuple[Person, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Left with one command, brought back with one on the other machine, and proved there."""
    person, place = room
    leave, bring, prove = read_commands(MOVING)
    pack, bring_packed = read_commands(PACKING, "With its data")
    *_, remove = read_commands(MOVING, "The old machine")
    unpack = read_commands(PACKING)[2]
    assert bring_packed == f"cd bundle && {bring}"
    assert bring == " && ".join(read_commands(BACKUP, "Restore"))
    person.send(place, "the last words here")
    for command in (leave, pack):
        checkout.type(command)
    home = tmp_path_factory.mktemp("elsewhere")
    there = Terminal(directory=home, project=f"{server.project}-elsewhere")
    moved = replace(server, directory=home / "bundle", project=there.project)
    shutil.move(checkout.directory / "bundle.tar", home)
    try:
        assert bring_packed in there.type(unpack)
        there.type(bring_packed)
        moved.wait_healthy()
        there.type(prove)
        assert "the last words here" in replace(person, stack=moved).read(place)
        checkout.type(remove)
    finally:
        moved.down()


def test_every_section_is_typed() -> None:
    """No section with a command is left out above, or in the other two modules."""
    typed = {
        BACKUP: {"The recovery card", "Drill", "Restore"},
        MOVING: {"The old machine"},
        PACKING: {"With its data", "Without this program"},
    }
    for page, headings in typed.items():
        found = {each for each in list_headings(page) if read_commands(page, each)}
        assert found - {"What is refused"} == headings, page

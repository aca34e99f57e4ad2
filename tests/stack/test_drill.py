"""A full drill beside a running server: green for a good set, red for a bad one, and nothing is left of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from signedjson.key import generate_signing_key, write_signing_keys

from synapse_bundle import topology
from synapse_bundle.settings import names
from tests.stack.accounts import Person, register
from tests.stack.lifetime import keep
from tests.support.engine import docker
from tests.support.pages import read_commands
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

FILE: Final = b"what somebody uploaded"
STORE: Final = f"{topology.SYNAPSE.data}/media_store/local_content"
GREEN: Final = "The drill is green"
# As docs/backup.md has them; what `make` does is the first and the third.
PROGRAM, _, BY_NAME, _, RESTORE, USE, END, EXPLAIN = read_commands("backup.md", "Drill")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running server with a room, a file and a set."""
    yield from keep(generate(tmp_path_factory.mktemp("drill"), "drill", ""))


@pytest.fixture(scope="module")
def person(stack: Stack) -> Person:
    """Somebody with a message in a room and a file."""
    made = register(stack)
    made.send(made.create_room(), "before the drill")
    return made


@pytest.fixture(scope="module")
def good(stack: Stack, person: Person) -> str:
    """The name of a good set."""
    assert person.upload(FILE).status == 200
    # The account that a drill signs in with is made after the start.
    wait_for(lambda: stack.check().returncode == 0, "the server is checked")
    return make_set(stack)


def make_set(stack: Stack) -> str:
    """Make a set and return its name."""
    stack.compose("run", "--rm", "backup", "now")
    return stack.compose("run", "--rm", "backup", "list").stdout.split()[0]


def name_drill(stack: Stack, name: str = "") -> list[str]:
    """Return the command of a drill, as the page has it, for a bundle elsewhere."""
    command = BY_NAME.replace("SET", name) if name else PROGRAM
    module = command.replace("synapse-bundle", f"{sys.executable} -m synapse_bundle")
    return [*module.split(), "--output", str(stack.directory)]


def drill(stack: Stack, name: str = "") -> subprocess.CompletedProcess[str]:
    """Drill with the command, as a user does; whatever the outcome, nothing may be left."""
    before = describe_folder(stack.directory)
    done = run(name_drill(stack, name), check=False)
    assert "Traceback" not in done.stderr
    assert find_leftovers(stack) == ""
    assert describe_folder(stack.directory) == before
    return done


def describe_folder(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Return owner, mode and content of everything in the folder, the repository included."""
    return {
        str(path): (
            path.lstat().st_uid,
            path.lstat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in directory.rglob("*")
    }


def find_leftovers(stack: Stack) -> str:
    """Return what the engine has of a drill: containers, volumes and networks."""
    name = f"name={names.name_drill(stack.project)}"
    return "\n".join(
        found
        for kind in ("container", "volume", "network")
        if (found := docker(kind, "ls", "--quiet", "--filter", name, *["--all"] * (kind[0] == "c")))
    )


def describe_server(stack: Stack) -> dict[str, object]:
    """Return which containers the server has, and since when they run."""
    found = stack.inspect_all()
    return {name: (one["Id"], one["State"]["StartedAt"]) for name, one in found.items()}


@contextlib.contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Give a file another content for a while."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(0o644)
        path.write_bytes(before)
        path.chmod(mode)


@contextlib.contextmanager
def exchanged_media(stack: Stack) -> Iterator[None]:
    """Exchange every uploaded file in the volume for another one of the same length."""

    def write(text: str) -> None:
        script = f"find {STORE} -type f -exec sh -c 'printf %s \"$0\" >\"$1\"' '{text}' {{}} ';'"
        stack.compose("exec", "--no-TTY", "synapse", "sh", "-c", script)

    write(FILE.decode().swapcase())
    try:
        yield
    finally:
        write(FILE.decode())


def find_pack(stack: Stack) -> Path:
    """Return the largest file of the first set, in which its dump is; later sets have others besides."""
    repository = stack.directory / "backups"
    made = sorted(path.stat().st_mtime for path in (repository / "snapshots").iterdir())[1]
    packs = [path for path in (repository / "data").rglob("*") if path.is_file()]
    first = [path for path in packs if path.stat().st_mtime <= made]
    return max(first, key=lambda path: path.stat().st_size)


def test_a_good_set_is_a_working_server(stack: Stack, good: str) -> None:
    """It is restored, started, used and removed, and the server beside it does not notice."""
    before = describe_server(stack)
    done = drill(stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert GREEN in done.stdout
    for words in (
        "it serves the signing key",
        "signed in as @synapse-bundle-check:",
        "sent an event, and read it back",
        "uploaded a file, and downloaded it",
        "downloaded 1 of its files, which are as they were uploaded",
        f"the set {good} is a working server",
    ):
        assert words in done.stdout, words
    assert describe_server(stack) == before
    assert stack.check().returncode == 0
    # Nobody was told that the set was restored: the server still may make sets.
    make_set(stack)


def test_a_set_by_name(stack: Stack, good: str) -> None:
    """An older set is drilled by its name, and one that does not exist is refused."""
    make_set(stack)
    done = drill(stack, good)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the set {good} is a working server" in done.stdout
    done = drill(stack, "20200101-0000-0000")
    assert done.returncode == 1
    assert "there is no set 20200101-0000-0000" in done.stdout + done.stderr


def test_with_docker_alone(stack: Stack, good: str) -> None:
    """The commands of the page do the same in the bundle's folder, and explain a failure."""
    terminal = Terminal(directory=stack.directory)
    before = describe_server(stack)
    try:
        with pytest.raises(AssertionError, match="bootstrap"):
            terminal.type(USE)
        assert "restore" in terminal.type(EXPLAIN)
        terminal.type(f"{RESTORE} {good}")
        assert f"the set {good} is a working server" in terminal.type(USE)
    finally:
        terminal.type(END)
    assert find_leftovers(stack) == ""
    assert describe_server(stack) == before


def test_a_flipped_byte_is_red(stack: Stack, good: str) -> None:
    """The restore refuses a repository that is damaged."""
    path = find_pack(stack)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with replaced(path, bytes(content)):
        done = drill(stack, good)
    assert done.returncode == 1
    assert "the set was not restored" in done.stderr
    assert "choose another set" in done.stdout + done.stderr


def test_another_signing_key_is_red(stack: Stack, good: str, tmp_path: Path) -> None:
    """Under another key it would be another server, whether the key was exchanged here or in the set."""
    key = stack.directory / "secrets" / "signing.key"
    other = tmp_path / "signing.key"
    with other.open("w") as file:
        write_signing_keys(file, [generate_signing_key(stack.secret("signing.key").split()[1])])
    with replaced(key, other.read_bytes()):
        done = drill(stack, good)
        assert done.returncode == 1
        assert "no file in secrets/ holds the signing key" in done.stdout + done.stderr
        make_set(stack)
    done = drill(stack)
    assert done.returncode == 1
    assert "signing.key in the set holds another signing key" in done.stdout + done.stderr


def test_an_exchanged_file_is_red(stack: Stack, good: str) -> None:
    """What Synapse serves is not what was uploaded, although the repository is whole."""
    with exchanged_media(stack):
        make_set(stack)
    done = drill(stack)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "has another content than the one that was uploaded" in said
    assert "what came of it is not the server" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_nothing(
    stack: Stack, good: str, number: signal.Signals
) -> None:
    """Ctrl+C ends it at any moment, and removes what it has made."""
    process = start_drill(stack, good)
    os.killpg(process.pid, number)
    assert process.wait(120) != 0
    assert find_leftovers(stack) == ""


def test_a_killed_drill_is_removed_by_the_next(stack: Stack, good: str) -> None:
    """What a drill could not remove itself, the next removes before it starts."""
    process = start_drill(stack, good)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(120)
    assert find_leftovers(stack) != ""
    assert drill(stack, "20200101-0000-0000").returncode == 1


def start_drill(stack: Stack, good: str) -> subprocess.Popen[bytes]:
    """Start a drill in a process group of its own; return when its first container runs."""
    process = subprocess.Popen(
        name_drill(stack, good),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    name = f"name={names.name_drill(stack.project)}"
    wait_for(lambda: docker("ps", "--quiet", "--filter", name), "the drill runs")
    return process


def test_one_drill_at_a_time(stack: Stack, good: str) -> None:
    """A second one would remove what the first has made; it is refused instead."""
    process = start_drill(stack, good)
    try:
        second = run(name_drill(stack, good), check=False)
        assert second.returncode == 1
        assert "Another drill is running" in second.stderr
        assert process.poll() is None
        assert find_leftovers(stack) != ""
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(120)

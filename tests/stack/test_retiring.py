"""A server ends: its people are told, the other server learns that they left, and a set brings them back."""

from __future__ import annotations

import dataclasses
import os
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Final

import pytest

from synapse_bundle import retirement_record
from tests.cloudflare.command_line import SETTINGS, Shell, serve
from tests.cloudflare.simulation import simulate
from tests.stack.accounts import Person, register
from tests.stack.lifetime import remove_images
from tests.stack.neighbors import FEDERATION, trust
from tests.support.engine import docker, try_docker
from tests.support.matrix import escape
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

ENDING: Final = """\
server_name: ending.test
email: you@ending.test
certificates: own-authority
workers: federation
"""
STAYING: Final = """\
server_name: staying.test
email: you@staying.test
certificates: own-authority
"""
SENDER: Final = "synapse-federation-sender"
WORDS: Final = "will be shut down"
PICTURE: Final = b"a picture of everyone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """A server that ends, one that stays, and who is where; `cloudflare` is played."""

    server: Stack
    other: Stack
    anna: Person
    ben: Person
    carol: Person
    shared: str
    cloudflare: Shell
    clean: Any

    def retire(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        """Run `synapse-bundle retire`, as a script would."""
        return self.run("retire", *words, check=check)

    def run(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        """Run the command with this bundle."""
        files = ["--settings", str(self.server.settings), "--output", str(self.server.directory)]
        _, environment = self.cloudflare.prepare()
        variables = {
            name: value for name, value in environment.items() if name.startswith("CLOUDFLARE")
        }
        variables["PYTHONPATH"] = str(self.server.source / "generator")
        command = [sys.executable, "-m", "synapse_bundle", *words, *files]
        return run(command, environment=variables, check=check)

    def find_membership(self, person: Person) -> str:
        """Return a person's membership of the shared room, as the other server has it."""
        path = f"/rooms/{escape(self.shared)}/state/m.room.member/{escape(person.user_id)}"
        return str(self.carol.call("GET", path)["membership"])

    def ask_database(self, query: str) -> str:
        """Ask PostgreSQL as its superuser, which a fence does not concern."""
        script = "PGPASSWORD=$(cat /run/secrets/postgres_password) psql -U postgres -d synapse -Atc"
        command = ("exec", "--no-TTY", "postgres", "sh", "-c", f'{script} "{query}"')
        return self.server.compose(*command).stdout.strip()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Stack]]:
    """Two servers that reach each other, healthy."""
    mine, its = (tmp_path_factory.mktemp(name) for name in ("ending", "staying"))
    stacks = (
        generate(
            mine, "ending", ENDING, override=trust(its) + trust_sender(its), synapse=FEDERATION
        ),
        generate(its, "staying", STAYING, override=trust(mine), synapse=FEDERATION),
    )
    network = f"test-retiring-{os.getpid()}"
    docker("network", "create", network)
    try:
        # Together: most of a start is waiting.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Stack.up, stacks))
        for stack in stacks:
            join(stack, network)
        yield stacks
    finally:
        for stack in stacks:
            stack.down()
            remove_images(stack)
        try_docker("network", "rm", network)


def trust_sender(neighbor: Path) -> str:
    """Return the override that shows the process which sends the authority of another bundle too."""
    return trust(neighbor).splitlines()[0].replace("synapse:", f"{SENDER}:") + "\n"


def join(stack: Stack, network: str) -> None:
    """Connect a running stack to a network in place of the internet; see test_federation."""
    names = (stack.server_name, stack.homeserver)
    aliases = [option for name in names for option in ("--alias", name)]
    services = {"apache": aliases, "synapse": [], "helper": []}
    if stack.server_name == "ending.test":
        services[SENDER] = []
    for service, options in services.items():
        docker("network", "connect", *options, network, stack.container(service))


@pytest.fixture(scope="module")
def ending(pair: tuple[Stack, Stack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ending]:
    """The first of them, with a user in a room of the second, and something at Cloudflare."""
    server, other = pair
    anna, ben, carol = register(server, "anna"), register(server, "ben"), register(other, "carol")
    shared = carol.create_room(preset="public_chat", room_alias_name="shared")
    anna.call("POST", f"/join/{escape(f'#shared:{other.server_name}')}", {})
    anna.send(shared, "before the end")
    wait_for(lambda: "before the end" in carol.read(shared), "the other server reads this one")
    ben.call("POST", "/join/" + escape(anna.create_room(preset="public_chat")), {})
    assert anna.upload(PICTURE).status == 200
    folder, simulation = tmp_path_factory.mktemp("cloudflare"), simulate()
    clean = simulation.store.snapshot()
    (folder / "settings.yaml").write_text(SETTINGS)
    with serve(simulation, folder) as shell:
        assert shell.cloudflare("apply", "--yes").code == 0
        state = (shell.bundle / ".cloudflare.json").read_bytes()
        (server.directory / ".cloudflare.json").write_bytes(state)
        yield Ending(
            server=server,
            other=other,
            anna=anna,
            ben=ben,
            carol=carol,
            shared=shared,
            cloudflare=shell,
            clean=clean,
        )


def test_everyone_on_the_server_is_told(ending: Ending) -> None:
    """Each person is in a room with the announcement, which is there once; the other server has no part in it."""
    today = str(date.today())  # noqa: DTZ011  # as the operator's clock says
    for _ in range(2):
        said = ending.retire("announce", "--on", today).stdout
        # The first administrator too, and nobody else: no account of the bundle's own.
        assert "told 3 of 3 people" in said
    for person in (ending.anna, ending.ben):
        rooms = person.call("GET", "/joined_rooms")["joined_rooms"]
        found = {room: [text for text in person.read(room) if WORDS in text] for room in rooms}
        [(room, told)] = [(room, texts) for room, texts in found.items() if texts]
        assert len(told) == 1
        name = person.call("GET", f"/rooms/{escape(room)}/state/m.room.name")["name"]
        assert name == f"ending.test ends on {today}"
        assert person.ask("GET", f"/rooms/{escape(room)}/state/m.room.encryption").status == 404
        refused = person.ask(
            "PUT",
            f"/rooms/{escape(room)}/send/m.room.message/1",
            {"msgtype": "m.text", "body": "?"},
        )
        assert refused.status == 403


def test_a_server_ends(ending: Ending, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One command: the other server knows that everyone left, and nothing is left but volumes and a set."""
    ending.server.build("--profile", "tools")
    out = tmp_path_factory.mktemp("out")
    assert ending.find_membership(ending.anna) == "join"
    said = ending.retire("finish", "--confirm", "ending.test", "--export", str(out)).stdout
    assert "1 of 1 other servers know that everyone has left" in said
    assert ending.find_membership(ending.anna) == "leave"
    assert ending.cloudflare.simulation.store.snapshot() == ending.clean
    assert not (ending.server.directory / ".cloudflare.json").exists()
    assert ending.server.compose("ps", "--all", "--quiet").stdout == ""
    assert "postgres" in docker("volume", "ls", f"--filter=name={ending.server.project}")
    record = retirement_record.read(ending.server.directory)
    assert record is not None
    assert record.set in said
    check_export(out / "ending.test", ending)
    again = ending.retire("finish", "--confirm", "ending.test")
    assert f"retired already; its last set: {record.set}" in again.stdout


def check_export(place: Path, ending: Ending) -> None:
    """Assert that each user's archive has what they could read, and what they uploaded."""
    assert {path.name for path in place.iterdir()} == {"admin.tar", "anna.tar", "ben.tar"}
    with tarfile.open(place / "anna.tar") as archive:
        names = archive.getnames()
        events = archive.extractfile(f"rooms/{ending.shared}/events")
        assert events
        assert b"before the end" in events.read()
        [picture] = [name for name in names if name.startswith("media/")]
        content = archive.extractfile(picture)
        assert content
        assert content.read() == PICTURE


def test_what_is_left_does_not_start(ending: Ending) -> None:
    """Neither the command nor Compose starts it, and nobody has an account any more."""
    refused = ending.run("generate", check=False)
    assert refused.returncode
    assert "this server was retired, and nothing was written" in refused.stderr
    bootstrap = ending.server.compose("run", "--rm", "--no-TTY", "bootstrap", check=False)
    assert bootstrap.returncode
    assert "this server was retired on" in bootstrap.stderr
    assert "docker compose run --rm restore" in bootstrap.stderr
    assert ending.ask_database("SELECT name FROM users WHERE deactivated = 0") == ""


def test_the_last_set_brings_it_back(ending: Ending) -> None:
    """As it says: the volumes away, the set restored, and the bundle is one like any other."""
    record = retirement_record.read(ending.server.directory)
    assert record is not None
    ending.server.down()
    ending.server.compose("run", "--rm", "--no-TTY", "restore", record.set)
    assert ending.run("generate").returncode == 0
    query = "SELECT deactivated FROM users WHERE name = '@anna:ending.test'"
    assert ending.ask_database(query) == "0"

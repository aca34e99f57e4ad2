"""A server made by the recipe, with SQLite in a volume, is used by a real client and becomes a bundle."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from nio import (
    AsyncClient,
    JoinResponse,
    LoginResponse,
    RoomCreateResponse,
    RoomMessagesResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
    UploadResponse,
)

from synapse_bundle import images
from tests.stack.accounts import CLIENT_PATIENCE, open_client
from tests.stack.lifetime import remove_images
from tests.support.engine import docker, try_docker
from tests.support.pages import read_block
from tests.support.ports import find_port
from tests.support.stacks import Stack, generate
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

NAME: Final = "import.test"
SETTINGS: Final = f"server_name: {NAME}\nemail: you@{NAME}\ncertificates: own-authority\n"
IMAGE: Final = images.read_pins()["synapse"].reference
PASSWORD: Final = "a password of the old server"
FILE: Final = os.urandom(50_000)
MESSAGES: Final = 8
# So that a hash without it would not do.
PEPPER: Final = "salt and"


@dataclass(kw_only=True)
class OldServer:
    """A container and a volume, as the recipe has them; and what its client remembers of it."""

    container: str
    volume: str
    port: int
    folder: Path
    token: str = ""
    device: str = ""
    position: str = ""
    room: str = ""
    uri: str = ""
    events: dict[str, str] = field(default_factory=dict)

    def run_inside(self, *command: str, options: tuple[str, ...] = ()) -> str:
        """Run a program of Synapse's image with the volume."""
        mount = f"--mount=type=volume,src={self.volume},dst=/data"
        return docker("run", "--rm", mount, *options, IMAGE, *command)

    def generate(self) -> None:
        """Make configuration and key, as the recipe does, and put a pepper into it."""
        self.run_inside(
            "generate",
            options=(f"--env=SYNAPSE_SERVER_NAME={NAME}", "--env=SYNAPSE_REPORT_STATS=no"),
        )
        added = json.dumps({"pepper": PEPPER})
        self.run_inside(
            *("-c", f"echo 'password_config: {added}' >>/data/homeserver.yaml"),
            options=("--entrypoint=sh",),
        )

    def start(self) -> None:
        docker(
            *("run", "--detach", "--name", self.container),
            f"--mount=type=volume,src={self.volume},dst=/data",
            *(f"--publish=127.0.0.1:{self.port}:8008", IMAGE),
        )
        probe = ("exec", self.container, "curl", "-fsS", "http://localhost:8008/health")
        wait_for(lambda: not try_docker(*probe).returncode, "the old server answers")

    def register(self, name: str) -> None:
        docker(
            *("exec", self.container, "register_new_matrix_user", "--no-admin"),
            *("-u", name, "-p", PASSWORD, "-c", "/data/homeserver.yaml", "http://localhost:8008"),
        )

    def finish_updates(self) -> None:
        """Do what Synapse would do in the next minute."""
        self.run_inside(
            *("-m", "synapse._scripts.update_synapse_database", "--run-background-updates"),
            *("--database-config", "/data/homeserver.yaml"),
            options=("--entrypoint=python3", "--user=991:991"),
        )

    def hash_files(self) -> str:
        """Return name and hash of every file of the volume."""
        script = "cd /data && find . -type f | sort | xargs sha256sum"
        return self.run_inside("-c", script, options=("--entrypoint=sh",))

    def read(self, name: str) -> str:
        return self.run_inside(f"/data/{name}", options=("--entrypoint=cat",))

    async def use(self) -> None:
        """Two people talk and send a file; what the second says last, the first has not seen yet."""
        address = f"http://127.0.0.1:{self.port}"
        alice, bob = (
            AsyncClient(address, f"@{name}:{NAME}", config=CLIENT_PATIENCE)
            for name in ("alice", "bob")
        )
        try:
            for client in (alice, bob):
                signed_in = await client.login(PASSWORD, device_name="the same device")
                assert isinstance(signed_in, LoginResponse), signed_in
            self.token, self.device = alice.access_token, alice.device_id
            created = await alice.room_create(name="before", invite=[bob.user_id])
            assert isinstance(created, RoomCreateResponse), created
            self.room = created.room_id
            assert isinstance(await bob.join(self.room), JoinResponse)
            sent, _ = await alice.upload(
                io.BytesIO(FILE), "application/octet-stream", "a file", filesize=len(FILE)
            )
            assert isinstance(sent, UploadResponse), sent
            self.uri = sent.content_uri
            for number in range(MESSAGES // 2):
                await self._say(alice, f"before {number}")
            synced = await alice.sync(0)
            assert isinstance(synced, SyncResponse), synced
            self.position = synced.next_batch
            for number in range(MESSAGES // 2):
                await self._say(bob, f"unseen {number}")
        finally:
            await alice.close()
            await bob.close()

    async def _say(self, client: AsyncClient, text: str) -> None:
        content = {"msgtype": "m.text", "body": text}
        sent = await client.room_send(self.room, "m.room.message", content)
        assert isinstance(sent, RoomSendResponse), sent
        self.events[sent.event_id] = text


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A bundle of the same name that was never started."""
    stack = generate(tmp_path_factory.mktemp("import"), "import", SETTINGS)
    stack.build("--profile", "tools")
    try:
        yield stack
    finally:
        stack.down()
        remove_images(stack)


@pytest.fixture(scope="module")
def old(stack: Stack) -> Iterator[OldServer]:
    """The recipe's server, used and stopped."""
    name = f"test-import-old-{os.getpid()}"
    server = OldServer(container=name, volume=name, port=find_port(), folder=stack.settings.parent)
    try:
        server.generate()
        server.start()
        for person in ("alice", "bob"):
            server.register(person)
        asyncio.run(server.use())
        yield server
    finally:
        try_docker("rm", "--force", name)
        try_docker("volume", "rm", name)


def list_commands(old: OldServer) -> list[str]:
    """Return what docs/import.md says to type, with the names of the test."""
    commands = [line.partition("#")[0].strip() for line in read_block("import.md")]
    return [
        line.replace("synapse-data", old.volume).replace("stop synapse", f"stop {old.container}")
        for line in commands
    ]


def type_refused(old: OldServer, command: str) -> str:
    """Type a command that has to fail; return what it says."""
    with pytest.raises(AssertionError) as failed:
        Terminal(directory=old.folder).type(command)
    return str(failed.value)


def test_a_server_that_is_not_ready_is_refused(stack: Stack, old: OldServer) -> None:
    """It runs; then its database has updates to do. Neither changes the bundle."""
    generate_it, stop_it, rehearse, _ = list_commands(old)
    terminal = Terminal(directory=old.folder)
    key = stack.secret("signing.key")
    terminal.type(generate_it)
    assert f"docker stop {old.container}" in type_refused(old, rehearse)
    terminal.type(stop_it)
    assert "background updates to do" in type_refused(old, rehearse)
    assert stack.secret("signing.key") == key
    old.finish_updates()
    assert "It can be imported" in terminal.type(rehearse)
    assert stack.secret("signing.key") == key


def test_an_import_that_is_killed_starts_nothing(stack: Stack, old: OldServer) -> None:
    """While Synapse copies the database; what it left is known to be half an import."""
    before = old.hash_files()
    *_, command = list_commands(old)
    kill_while_copying(stack, old, command)
    refused = stack.compose("run", "--rm", "bootstrap", check=False)
    assert refused.returncode
    assert "an import was interrupted" in refused.stderr
    assert old.hash_files() == before


def kill_while_copying(stack: Stack, old: OldServer, command: str) -> None:
    environment = Terminal(directory=old.folder)._environment
    ours = f"label=synapse-bundle.import={stack.directory.resolve()}"
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=old.folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        # Until then a container of the same kind may be that of the step before.
        while not (line := process.stdout.readline()).startswith("Copying it"):
            assert line, "the import ended by itself"
        wait_for(lambda: docker("ps", "--quiet", "--filter", ours), "Synapse copies the database")
        os.killpg(process.pid, signal.SIGKILL)
    assert docker("ps", "--quiet", "--filter", ours), "it was killed in the middle"


@pytest.fixture(scope="module")
def imported(stack: Stack, old: OldServer) -> str:
    """Import once more, and return what the command printed: it ends with a green check."""
    before = old.hash_files()
    *_, command = list_commands(old)
    said = Terminal(directory=old.folder).type(command)
    assert old.hash_files() == before
    return said


def test_it_is_the_same_server(stack: Stack, old: OldServer, imported: str) -> None:
    """Every check holds, the key is the same, and no container of the import is left."""
    assert "Imported." in imported
    assert "FAIL" not in imported
    key = old.read(f"{NAME}.signing.key").strip()
    assert stack.secret("signing.key") == key
    published = stack.ask("GET", "/_matrix/key/v2/server").json["verify_keys"]
    assert list(published) == ["ed25519:" + key.split()[1]]
    document = yaml.safe_load(old.read("homeserver.yaml"))
    assert stack.secret("macaroon_secret_key") == document["macaroon_secret_key"]
    left = docker("ps", "--all", "--quiet", "--filter", "label=synapse-bundle.import")
    assert not left


def test_sessions_go_on(stack: Stack, old: OldServer, imported: str) -> None:
    """The same token, the same position: what came meanwhile is seen, once, and the file is whole."""
    asyncio.run(use_again(stack, old))


async def use_again(stack: Stack, old: OldServer) -> None:
    async with open_client(stack, "alice") as alice:
        alice.restore_login(f"@alice:{NAME}", old.device, old.token)
        synced = await alice.sync(0, since=old.position)
        assert isinstance(synced, SyncResponse), synced
        timeline = synced.rooms.join[old.room].timeline
        seen = [e.body for e in timeline.events if isinstance(e, RoomMessageText)]
        assert seen == [text for text in old.events.values() if text.startswith("unseen")]
        history = await alice.room_messages(old.room, synced.next_batch, limit=100)
        assert isinstance(history, RoomMessagesResponse), history
        known = {e.event_id: e.body for e in history.chunk if isinstance(e, RoomMessageText)}
        assert known == old.events
        answer = await alice.download(old.uri)
        assert getattr(answer, "body", None) == FILE
        content = {"msgtype": "m.text", "body": "after"}
        assert isinstance(
            await alice.room_send(old.room, "m.room.message", content), RoomSendResponse
        )
    async with open_client(stack, "bob") as bob:
        signed_in = await bob.login(PASSWORD)
        assert isinstance(signed_in, LoginResponse), signed_in


def test_people_are_found(stack: Stack, old: OldServer, imported: str) -> None:
    """The list behind the search for people is not copied, and comes back by itself."""

    def search() -> Any:
        path = "/_matrix/client/v3/user_directory/search"
        body = {"search_term": "bob"}
        return stack.ask("POST", path, body=body, token=old.token).json.get("results")

    wait_for(search, "bob is found")


def test_a_second_import_is_refused(stack: Stack, old: OldServer, imported: str) -> None:
    """Nothing is replaced that an import has finished."""
    stack.compose("stop", "synapse")
    *_, command = list_commands(old)
    said = type_refused(old, command)
    assert "is not empty" in said
    assert "docker compose down --volumes" in said


def test_its_dump_is_imported_in_its_place(
    stack: Stack, old: OldServer, imported: str, tmp_path: Path
) -> None:
    """From PostgreSQL, laid out as matrix-docker-ansible-deploy does; the same session goes on again."""
    folder = lay_out(stack, old, tmp_path / "matrix" / "synapse")
    *_, dump_it, command, _ = read_block("import.md", "Folders and PostgreSQL")
    terminal = Terminal(directory=stack.directory)
    options = f"-T -e PGPASSWORD={stack.secret('postgres_password')} postgres"
    programs = f"docker compose exec {options} pg_dump -h 127.0.0.1 -U postgres"
    written = dump_it.replace("--file=", ">").replace("pg_dump", programs)
    terminal.type(written.replace("synapse.dump", str(tmp_path / "synapse.dump")))
    stack.down()
    command = command.replace("FOLDER", str(folder))
    said = Terminal(directory=old.folder).type(
        command.replace("synapse.dump", str(tmp_path / "synapse.dump"))
    )
    assert "Imported." in said
    asyncio.run(read_again(stack, old))


def lay_out(stack: Stack, old: OldServer, folder: Path) -> Path:
    """Write the folder of a server that uses PostgreSQL, with the files that the bundle has now."""
    (folder / "config").mkdir(parents=True)
    (folder / "storage").mkdir()
    document = yaml.safe_load(old.read("homeserver.yaml"))
    document["database"] = {"name": "psycopg2", "args": {"host": "matrix-postgres"}}
    document["media_store_path"] = "/matrix-media-store-parent/media-store"
    (folder / "config" / "homeserver.yaml").write_text(yaml.safe_dump(document))
    (folder / "config" / f"{NAME}.signing.key").write_text(old.read(f"{NAME}.signing.key"))
    media = f"{stack.container('synapse')}:/data/media_store"
    docker("cp", media, str(folder / "storage" / "media-store"))
    return folder


async def read_again(stack: Stack, old: OldServer) -> None:
    async with open_client(stack, "alice") as alice:
        alice.restore_login(f"@alice:{NAME}", old.device, old.token)
        history = await alice.room_messages(old.room, limit=100)
        assert isinstance(history, RoomMessagesResponse), history
        known = {e.event_id: e.body for e in history.chunk if isinstance(e, RoomMessageText)}
        assert known.items() >= old.events.items()
        answer = await alice.download(old.uri)
        assert getattr(answer, "body", None) == FILE

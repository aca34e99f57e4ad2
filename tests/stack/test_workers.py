"""A running bundle with workers: who answers, what a death costs, and the way there and back."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.routing.test_routes import METHODS, paths
from tests.stack.accounts import register
from tests.stack.encrypted_conversation import open_conversation
from tests.stack.fault_injection import count_restarts, freeze, kill
from tests.stack.lifetime import keep
from tests.stack.message_sender import open_sender
from tests.support.engine import docker, try_docker
from tests.support.matrix import VERSIONS, escape
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

SENDER: Final = "synapse-federation-sender"
COVERED: Final = "the main process answers in its place"
UNKNOWN: Final = b"M_UNRECOGNIZED"
PROCESSES: Final = ("synapse", "synapse-generic", SENDER, "valkey")
EVERYTHING: Final = ("postgres", *PROCESSES, "helper", "apache")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A trial with `workers: small`, healthy.

    Its probes follow each other sooner; what a probe is and how many must fail is the bundle's own.
    """
    sooner = {name: {"healthcheck": {"interval": "2s"}} for name in PROCESSES}
    override = yaml.safe_dump(sooner)
    folder = tmp_path_factory.mktemp("small")
    yield from keep(generate(folder, "small", "workers: small\n", override=override))


def find_row(stack: Stack, name: str) -> Any:
    """Return a row of the bundle's own check."""
    return next(row for row in json.loads(stack.check().stdout)["checks"] if row["name"] == name)


@contextmanager
def paused(stack: Stack, service: str) -> Iterator[None]:
    """Stop every process of a service for as long as this lasts.

    To the engine a paused container is unhealthy, until it has been checked once more.
    """
    container = stack.container(service)
    docker("pause", container)
    try:
        yield
    finally:
        docker("unpause", container)
        stack.wait_healthy(service)


def test_every_process_is_healthy_and_the_check_passes(small: Stack) -> None:
    """What a bundle without workers proves of itself, this one does too."""
    small.wait_healthy(*EVERYTHING)
    done = small.check()
    assert done.returncode == 0, done.stdout


def test_a_worker_answers_while_the_main_process_does_not(small: Stack) -> None:
    """Clients' and servers' requests of the table are served without the main process."""
    person = register(small)
    room = person.create_room()
    with paused(small, "synapse"):
        assert small.ask("GET", VERSIONS).status == 200
        assert small.ask("GET", "/_matrix/federation/v1/version").status == 200
        assert room in person.call("GET", "/sync")["rooms"]["join"]
        assert person.call("GET", f"/rooms/{escape(room)}/state")


def test_what_one_process_writes_the_other_tells(small: Stack) -> None:
    """Across the bus: a message, a receipt, and a user's own data reach the next long poll."""
    person = register(small)
    # What `spread` tells users apart by.
    name = base64.b64encode(person.user_id[1:].partition(":")[0].encode()).decode().rstrip("=")
    assert person.token.startswith(f"syt_{name}_")
    room = person.create_room()
    position = person.call("GET", "/sync")["next_batch"]
    event = person.send(room, "across")
    synced = person.call("GET", f"/sync?since={position}&timeout=30000")
    told = synced["rooms"]["join"][room]["timeline"]["events"]
    assert [each["event_id"] for each in told] == [event]
    data = f"/user/{escape(person.user_id)}/account_data/test.data"
    position = synced["next_batch"]
    person.call("PUT", data, {"number": 1})
    told = person.call("GET", f"/sync?since={position}&timeout=30000")["account_data"]["events"]
    assert [each["content"] for each in told] == [{"number": 1}]
    assert person.call("GET", data) == {"number": 1}


def test_no_worker_refuses_what_the_main_process_knows(small: Stack) -> None:
    """Black box: whatever is asked through Apache, it is unknown only where it is unknown to all."""

    @settings(max_examples=500, suppress_health_check=list(HealthCheck))
    @given(path=paths(), method=st.sampled_from(METHODS[:-1]))
    def ask(path: str, method: str) -> None:
        body: dict[str, Any] | None = {} if method in {"POST", "PUT"} else None
        if UNKNOWN in small.ask(method, path, body=body).body:
            assert UNKNOWN in small.ask_synapse(method, path, body=body).body, (method, path)

    ask()


def test_a_process_that_hangs_is_killed_and_comes_back(small: Stack) -> None:
    """Workers and Valkey are ended by their health checks like every other service."""
    hung = ("synapse-generic", "synapse-federation-sender", "valkey")
    before = count_restarts(small, EVERYTHING)
    for service in hung:
        freeze(small, service)
    for service, number in before.items():
        if service in hung:
            wait_for(
                lambda s=service, n=number: count_restarts(small, [s])[s] > n,  # type: ignore[misc]
                f"{service} is restarted",
            )
    small.wait_healthy(*EVERYTHING)
    after = count_restarts(small, EVERYTHING)
    assert {name for name in after if after[name] != before[name]} == set(hung)


def test_a_stopped_worker_is_covered(small: Stack) -> None:
    """For as long as the worker is away, each request is answered by the main process."""
    person = register(small)
    room = person.create_room()
    with open_sender(small) as sender:
        small.compose("stop", "synapse-generic")
        try:
            sender.wait_for_more(40)
            assert room in person.call("GET", "/sync")["rooms"]["join"]
            person.send(room, "a worker is away")
            assert "a worker is away" in person.read(room)
            row = find_row(small, "each of Synapse's workers answers")
            assert not row["ok"]
            assert row["detail"] == f"synapse-generic: no answer; {COVERED}"
        finally:
            small.compose("start", "synapse-generic")
            small.wait_healthy("synapse-generic")
        sender.wait_for_more(40)
    sender.assert_nothing_is_lost()


def test_writing_waits_for_the_bus_and_reading_does_not(small: Stack) -> None:
    """While Valkey is away Synapse holds what is written; then it is there, and told, once."""
    person = register(small)
    room = person.create_room()
    with open_sender(small) as sender:
        small.compose("stop", "valkey")
        try:
            assert room in person.call("GET", "/sync")["rooms"]["join"]
            assert person.call("GET", f"/rooms/{escape(room)}/state")
            row = find_row(small, "workers keep up with the main process")
            assert not row["ok"]
            assert "Valkey" in row["cause"], row
        finally:
            small.compose("start", "valkey")
            small.wait_healthy("valkey")
        position = person.call("GET", "/sync")["next_batch"]
        event = person.send(room, "with a bus again")
        synced = person.call("GET", f"/sync?since={position}&timeout=30000")
        told = synced["rooms"]["join"][room]["timeline"]["events"]
        assert [each["event_id"] for each in told] == [event]
        sender.wait_for_more()
    sender.assert_nothing_is_lost()


def test_a_full_drill_needs_no_workers(small: Stack) -> None:
    """The main process alone starts on a set of a server with workers, and does what they did."""
    small.compose("run", "--rm", "backup", "now")
    command = [sys.executable, "-m", "synapse_bundle", "drill", "--output", str(small.directory)]
    done = run(command, check=False)
    assert "The drill is green" in done.stdout, done.stdout + done.stderr


def test_a_killed_process_loses_nothing(small: Stack, tmp_path: Path) -> None:
    """Each is killed in turn while two clients talk in an encrypted room, and is healthy again.

    They read every acknowledged message, decrypted and once, and every file is whole. Each process was
    restarted once, and no other container was.
    """
    expected = count_restarts(small, EVERYTHING)
    with open_conversation(small, tmp_path / "clients") as conversation:
        for service in PROCESSES:
            kill(small, service)
            began = time.monotonic()
            conversation.wait_for_more()
            print(f"{service}: {time.monotonic() - began:.1f} s until three more of each were read")
            expected[service] += 1
            wait_for(lambda: count_restarts(small, EVERYTHING) == expected, f"{service} is back")
            small.wait_healthy(*EVERYTHING)
        conversation.wait_for_more()
        conversation.assert_nothing_is_lost()
        with conversation.silence():
            conversation.assert_files_are_whole()
    assert count_restarts(small, EVERYTHING) == expected


def test_an_old_set_loses_only_what_came_after_it(small: Stack, tmp_path: Path) -> None:
    """Clients whose position is ahead of the restored server get every message all the same."""
    with open_conversation(small, tmp_path / "clients") as conversation:
        kept = set(conversation.acknowledged())
        small.compose("run", "--rm", "backup", "now")
        name = small.compose("run", "--rm", "backup", "list").stdout.split()[0]
        conversation.wait_for_more(10)
        with conversation.silence():
            conversation.wait_until_read()
            small.down()
            small.compose("run", "--rm", "restore", name)
            small.up()
            lost = conversation.accept_rollback()
            assert kept & lost == set()
            assert len(lost) >= 20
        conversation.wait_for_more(20)
        conversation.assert_nothing_is_lost()
    done = small.check()
    assert done.returncode == 0, done.stdout


def test_there_and_back_on_a_running_server(tmp_path: Path) -> None:
    """From none to small to spread to none, each by one run and one start: nothing is lost."""
    stack = generate(tmp_path, "there", "memory: 4G\n")
    plain = stack.settings.read_text()
    with ExitStack() as cleanup:
        # Compose no longer knows the networks of the workers that were.
        networks = [f"{stack.project}_{name}" for name in ("replication", "pools")]
        cleanup.callback(try_docker, "network", "rm", *networks)
        cleanup.callback(stack.compose, "down", "--volumes", "--remove-orphans", check=False)
        stack.up()
        with open_sender(stack) as sender:
            for preset, count in (("small", 2), ("spread", 5), ("none", 0)):
                stack.settings.write_text(f"{plain}workers: {preset}\n")
                stack.generate()
                stack.up("--remove-orphans")
                sender.wait_for_more()
                running = set(stack.compose("ps", "--services").stdout.split())
                assert ("valkey" in running) == (preset != "none")
                assert sum(name.startswith("synapse-") for name in running) == count
                done = stack.check()
                assert done.returncode == 0, done.stdout
        sender.assert_nothing_is_lost()
        assert not list((stack.directory / "synapse").glob("workers/*"))

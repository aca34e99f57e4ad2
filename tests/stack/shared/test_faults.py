"""What a running bundle survives: killed, moved, restarted and starved containers, under load."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from http.client import HTTPException
from typing import Final

import pytest

from tests.stack.accounts import register
from tests.stack.fault_injection import (
    count_restarts,
    find_workers,
    kill,
    occupy_address,
    watch_exits,
)
from tests.stack.message_sender import open_sender
from tests.support.engine import docker, try_docker
from tests.support.http import Answer
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

SERVICES: Final = ["apache", "helper", "synapse", "postgres"]
VERSIONS: Final = "/_matrix/client/versions"
# mod_proxy shuns a backend that failed for a minute, unless it is configured otherwise.
PENALTY: Final = 60


def is_fine(ask: Callable[..., Answer]) -> bool:
    """Return whether a request is answered with 200."""
    with suppress(OSError, HTTPException):
        return ask("GET", VERSIONS).status == 200
    return False


def measure_lag(stack: Stack) -> float:
    """Return for how many seconds Synapse answered on its port while Apache did not reach it."""
    wait_for(lambda: is_fine(stack.ask_synapse), "Synapse answers on its own port")
    began = time.monotonic()
    wait_for(lambda: is_fine(stack.ask), "Synapse answers through Apache")
    return time.monotonic() - began


def find_address(stack: Stack, service: str) -> str:
    """Return a container's address in the network that Apache and Synapse share."""
    network = stack.inspect(service)["NetworkSettings"]["Networks"][f"{stack.project}_web"]
    return str(network["IPAddress"])


@pytest.mark.parametrize("service", ["postgres", "synapse", "apache", "helper"])
def test_a_killed_service_comes_back_and_no_acknowledged_event_is_lost(
    trial: Stack, service: str
) -> None:
    """After kill -9 of a main process all is healthy again and every acknowledged event is there.

    A client sends all the while, no event is there twice, no other container is restarted, and
    Apache passes requests on as soon as Synapse answers.
    """
    before = count_restarts(trial, SERVICES)
    with open_sender(trial) as sender:
        with nullcontext() if service == "helper" else sender.refused():
            kill(trial, service)
        lag = measure_lag(trial)
        trial.wait_healthy()
        sender.wait_for_more()
    sender.assert_nothing_is_lost()
    assert lag < PENALTY / 3
    assert count_restarts(trial, SERVICES) == before | {service: before[service] + 1}
    if service == "helper":
        assert sender.failures == []


def test_a_second_postgresql_waits_for_the_end_of_the_first(trial: Stack) -> None:
    """On the same data only one server runs, although each container has a postmaster with the same number."""
    second = trial.compose("run", "--detach", "--no-deps", "postgres").stdout.strip()
    waits = "waiting for its end"
    try:
        with open_sender(trial) as sender:
            wait_for(lambda: waits in read_log(second), "it waits")
            sender.wait_for_more()
            assert "ready to accept connections" not in read_log(second)
            trial.compose("stop", "postgres")
            wait_for(lambda: "ready to accept connections" in read_log(second), "it starts")
            trial.compose("start", "postgres")
            first = trial.container("postgres")
            wait_for(lambda: waits in read_log(first), "the first waits now")
            docker("kill", second)
            trial.wait_healthy()
            sender.wait_for_more()
        sender.assert_nothing_is_lost()
    finally:
        docker("rm", "--force", second)


def read_log(container: str) -> str:
    """Return what a container has said."""
    done = try_docker("logs", container)
    return done.stdout + done.stderr


def test_killed_workers_of_apache_are_replaced(trial: Stack) -> None:
    """After kill -9 of Apache's workers new ones serve in the same container; no event is lost."""
    before = count_restarts(trial, ["apache"])
    with open_sender(trial) as sender:
        workers = find_workers(trial)
        killing = f"kill -9 {' '.join(workers)}"
        trial.compose("exec", "--no-TTY", "apache", "sh", "-c", killing)
        sender.wait_for_more()
        assert find_workers(trial).isdisjoint(workers)
    sender.assert_nothing_is_lost()
    assert count_restarts(trial, ["apache"]) == before


def test_a_killed_tunnel_comes_back_and_the_machine_itself_is_not_disturbed(domain: Stack) -> None:
    """After kill -9 of cloudflared the tunnel carries again; on the machine nothing fails at all.

    One client sends through the tunnel and one on the machine; neither loses an event.
    """
    before = count_restarts(domain, ["cloudflared"])
    with open_sender(domain) as near, open_sender(domain, domain.ask_through_tunnel) as far:
        with far.refused():
            kill(domain, "cloudflared")
        far.wait_for_more()
        near.wait_for_more()
        domain.wait_healthy("cloudflared")
    near.assert_nothing_is_lost()
    far.assert_nothing_is_lost()
    assert near.failures == []
    assert count_restarts(domain, ["cloudflared"])["cloudflared"] == before["cloudflared"] + 1


def test_apache_finds_synapse_at_a_new_address(trial: Stack) -> None:
    """Apache, which runs on, finds a recreated Synapse though another took its old address.

    The client that sends all the while loses nothing.
    """
    apache = trial.inspect("apache")["State"]["StartedAt"]
    old = find_address(trial, "synapse")
    with open_sender(trial) as sender:
        with sender.refused():
            trial.compose("rm", "--stop", "--force", "synapse")
        with occupy_address(trial, old):
            trial.compose("up", "--detach", "--no-deps", "synapse")
            assert find_address(trial, "synapse") != old
            lag = measure_lag(trial)
            sender.wait_for_more()
    sender.assert_nothing_is_lost()
    assert lag < PENALTY / 3
    assert trial.inspect("apache")["State"]["StartedAt"] == apache
    trial.wait_healthy()


def test_a_reboot_converges_in_any_order(trial: Stack) -> None:
    """After a reboot all become healthy by themselves, in whatever order the engine starts them.

    No Compose is there to wait for what a service needs.
    """
    person = register(trial)
    room = person.create_room()
    said = [person.send(room, "before any reboot")]
    orders = [SERVICES, *(random.Random(n).sample(SERVICES, len(SERVICES)) for n in (1, 2))]
    for order in orders:
        containers = [trial.container(service) for service in order]
        docker("stop", *containers)
        docker("start", *containers)
        trial.wait_healthy()
        wait_for(lambda: is_fine(trial.ask), "Synapse answers through Apache")
        said.append(person.send(room, f"after {order}"))
    assert len(person.read(room)) >= len(said) == len(orders) + 1


def read_end(stack: Stack, service: str) -> int | None:
    """Return the exit code of a container that waits for its next start, or None where it runs."""
    state = stack.inspect(service)["State"]
    return int(state["ExitCode"]) if state["Restarting"] else None


def test_a_synapse_without_memory_is_ended_alone_and_started_again(trial: Stack) -> None:
    """A Synapse that outgrows its limit is ended (137) and started again, and others stay well.

    A client learns to come back, and with enough memory all is as before.
    """
    override = trial.directory / "compose.override.yaml"
    before = override.read_text()
    starved = "services: {synapse: {mem_limit: 64m, memswap_limit: 64m}}\n"
    try:
        override.write_text(starved)
        trial.compose("up", "--detach", "--no-deps", "synapse")
        wait_for(lambda: count_restarts(trial, ["synapse"])["synapse"] > 1, "it is restarted")
        wait_for(lambda: read_end(trial, "synapse") == 137, "it is ended once more, by a kill")
        answer = trial.ask("GET", VERSIONS)
        assert answer.status == 503
        assert answer.json["errcode"] == "M_UNKNOWN"
        for service in ("postgres", "apache"):
            assert trial.health(service) == "healthy", service
    finally:
        override.write_text(before)
        trial.up()
    assert is_fine(trial.ask)


def test_down_under_load_ends_everything_in_time_and_up_works_offline(trial: Stack) -> None:
    """`down` under load ends every container in time, and `up` without a registry loses nothing.

    No container is killed (137), PostgreSQL finds that it was shut down, no image is pulled or built,
    and the client, which kept on trying, finds every acknowledged event.
    """
    with open_sender(trial) as sender:
        with watch_exits(trial) as ends:
            trial.compose("down")
        assert docker("volume", "ls", "-q", f"--filter=name={trial.project}_")
        trial.up("--pull", "never", "--no-build")
        sender.wait_for_more()
    sender.assert_nothing_is_lost()
    assert set(ends) == set(SERVICES)
    assert 137 not in ends.values(), ends
    # After anything else it says that it was interrupted, or not shut down properly.
    assert "database system was shut down at" in trial.compose("logs", "postgres").stdout

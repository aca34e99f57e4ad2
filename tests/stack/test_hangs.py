"""A service that hangs comes back by itself, and nothing that was acknowledged is lost."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

import pytest

from synapse_bundle import images
from tests.stack.fault_injection import count_restarts, freeze
from tests.stack.message_sender import open_sender
from tests.support.processes import run
from tests.support.stacks import REPOSITORY, Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

SETTINGS: Final = """\
server_name: hangs.test
email: you@hangs.test
certificates: own-authority
"""
SERVICES: Final = ("postgres", "synapse", "helper", "apache", "cloudflared")
# Probes that follow each other sooner; what a probe is and how many must fail is the bundle's own.
SOONER: Final = "".join(f"{name}: {{healthcheck: {{interval: 2s}}}}\n" for name in SERVICES[:-1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A domain behind the tunnel's double, healthy."""
    stack = generate(tmp_path_factory.mktemp("hangs"), "hangs", SETTINGS, tunnel=True)
    override = stack.directory / "compose.override.yaml"
    override.write_text(
        override.read_text().replace(
            "cloudflared: {", "cloudflared: {healthcheck: {interval: 2s}, "
        )
        + "".join(f"  {line}\n" for line in SOONER.splitlines())
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def wait_restarted(stack: Stack, before: dict[str, int], *services: str) -> None:
    """Wait until some services, and no others, were restarted once and are healthy again."""
    expected = before | {service: before[service] + 1 for service in services}
    wait_for(lambda: count_restarts(stack, SERVICES) == expected, f"{services} are restarted")
    stack.wait_healthy(*SERVICES)
    assert count_restarts(stack, SERVICES) == expected


def count_since(stack: Stack, before: dict[str, int]) -> dict[str, int]:
    """Return how often each service was restarted since it was counted last."""
    return {name: count - before[name] for name, count in count_restarts(stack, SERVICES).items()}


def test_every_main_process_that_hangs_is_ended_and_comes_back(stack: Stack) -> None:
    """All five main processes freeze at once, and soon all serve again, each restarted once.

    Synapse twice where it is back before PostgreSQL is. A client that sends through the tunnel all the
    while finds every acknowledged event.
    """
    before = count_restarts(stack, SERVICES)
    with open_sender(stack, stack.ask_through_tunnel) as sender:
        with sender.refused():
            for service in SERVICES:
                freeze(stack, service)
            wait_for(
                lambda: all(count > 0 for count in count_since(stack, before).values()),
                "every main process is restarted",
            )
        stack.wait_healthy(*SERVICES)
        sender.wait_for_more()
    sender.assert_nothing_is_lost()
    restarts = count_since(stack, before)
    again = restarts.pop("synapse") - 1
    assert again in {0, 1}
    assert not again or "OperationalError" in stack.compose("logs", "synapse").stdout
    assert set(restarts.values()) == {1}
    for service in ("postgres", "synapse", "apache", "cloudflared"):
        assert "got no answer 3 times in a row" in stack.compose("logs", service).stdout, service
    assert "has not moved" in stack.compose("logs", "helper").stdout


def test_apaches_child_that_hangs_is_ended_with_its_parent(stack: Stack) -> None:
    """The child that serves freezes: Apache is restarted."""
    before = count_restarts(stack, SERVICES)
    freeze(stack, "apache", "cat /proc/$main/task/$main/children | tr ' ' '\\n' | grep .")
    wait_restarted(stack, before, "apache")
    assert stack.ask("GET", "/_matrix/client/versions").status == 200


def test_a_certificate_watcher_that_hangs_or_dies_is_replaced(stack: Stack) -> None:
    """The watcher is restarted while Apache serves on, and takes up a new certificate."""
    before = count_restarts(stack, SERVICES)

    def inside(script: str) -> str:
        return stack.compose("exec", "--no-TTY", "apache", "bash", "-c", script).stdout.strip()

    def is_another(old: str) -> bool:
        return inside(find) not in ("", old)

    find = "read -r _ watcher </run/apache2/watcher.beat && echo $watcher"
    for signal in ("STOP", "KILL"):
        old = inside(find)
        inside(f"kill -{signal} {old}")
        wait_for(functools.partial(is_another, old), "another watcher lives")
    served = (
        "echo | openssl s_client -connect 127.0.0.1:443 2>/dev/null | openssl x509 -serial -noout"
    )
    serial = inside(served)
    # The helper makes another certificate when the published one is missing.
    stack.compose("exec", "--no-TTY", "helper", "rm", "/certificates/live.pem")
    wait_for(lambda: inside(served) != serial, "another certificate is served")
    stack.wait_healthy("apache")
    # While it looks at something it is two processes.
    living = "cat /proc/[0-9]*/comm 2>/dev/null | grep -c watch-certifica"
    wait_for(lambda: inside(living) == "1", "one watcher lives")
    assert count_restarts(stack, SERVICES) == before


@pytest.mark.parametrize(
    ("probes", "init", "end"),
    [
        ("0 2 2 2", True, 137),
        # It never was healthy: crash recovery or a schema migration may take their time.
        ("2 2 2 2 2 2 2 2", True, 0),
        # It answers, and says what it lacks.
        ("0 1 1 1 1 1 1 1", True, 0),
        ("0 2 2 1 2 2 0 2 2", True, 0),
        # The first child would be one of the service's own.
        ("0 2 2 2 2 2 2 2", False, 0),
    ],
)
def test_unanswered_probes_end_a_process_that_was_healthy(
    probes: str, init: bool, end: int
) -> None:
    """Three probes without an answer end a container's main process, if one succeeded before."""
    image = images.read_pins()["postgres"].reference
    script = f'sleep 0 & for code in {probes}; do sh /srv/health/probe.sh 1 sh -c "exit $code"; done; exit 0'
    mount = f"--volume={REPOSITORY / 'compose' / 'health'}:/srv/health:ro"
    options = ["--rm", mount, "--tmpfs=/run/health", *(["--init"] if init else [])]
    command = ["docker", "run", *options, "--entrypoint=sh", image, "-c", script]
    assert run(command, check=False).returncode == end

"""The gate before cloudflared, in a container of its own: waits for the credential, ends without it."""

from __future__ import annotations

from typing import Final

import pytest

from synapse_bundle import images
from tests.support.processes import run
from tests.support.stacks import REPOSITORY

pytestmark = pytest.mark.engine

GATE: Final = "sh /srv/health/gate.sh"
FILE: Final = "/credential/tunnel.json"
KILLED: Final = 137


def enter(script: str) -> tuple[int, str]:
    """Run a script as a container's main process; return its exit code and what it printed."""
    image = images.read_pins()["postgres"].reference
    mount = f"--volume={REPOSITORY / 'compose' / 'health'}:/srv/health:ro"
    options = ["--rm", "--init", mount, "--tmpfs=/run/health", "--tmpfs=/credential"]
    done = run(["docker", "run", *options, "--entrypoint=sh", image, "-c", script], check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "end"),
    [
        (f"rm {FILE}", KILLED),
        (f"echo other >{FILE}", KILLED),
        # Released again by a restarted helper.
        (f"echo secret >{FILE}.new; mv {FILE}.new {FILE}", 0),
        ("true", 0),
    ],
    ids=["withdrawn", "exchanged", "the same again", "unchanged"],
)
def test_the_service_ends_with_its_credential(change: str, end: int) -> None:
    """The first check after a withdrawal ends it, even if it was never healthy."""
    probe = f"{GATE} probe {FILE} 1 false; {change}; {GATE} probe {FILE} 1 false; sleep 0.2; exit 0"
    code, said = enter(f"echo secret >{FILE}; exec {GATE} start {FILE} sh -c '{probe}'")
    assert code == end, said
    assert ("withdrawn or exchanged" in said) == (end == KILLED)
    assert "secret" not in said


def test_the_service_starts_when_the_credential_is_there() -> None:
    """It waits for as long as that takes; its health check says for what, and ends nothing."""
    probe = f"{GATE} probe {FILE} 1 true; echo unhealthy $?; echo secret >{FILE}"
    code, said = enter(f"(sleep 1.5; {probe}) & exec {GATE} start {FILE} echo started")
    assert code == 0
    words = ["Waiting for the helper", "claim status", "unhealthy 1", "started"]
    places = [said.index(word) for word in words]
    assert places == sorted(places)


def test_an_open_gate_is_a_plain_health_check() -> None:
    """With its credential the service is judged by its own probe."""
    probe = f'{GATE} probe {FILE} 1 true; echo good $?; {GATE} probe {FILE} 1 sh -c "exit 1"; echo bad $?'
    code, said = enter(f"echo secret >{FILE}; exec {GATE} start {FILE} sh -c '{probe}'")
    assert code == 0
    assert "good 0\nbad 1" in said

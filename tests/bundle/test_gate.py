"""The gate of the tunnel's credential, by the shell that the helper's image gives cloudflared."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from synapse_bundle import assets, topology

SCRIPT = assets.locate("compose") / "health/gate.sh"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A copy whose state is in a directory of the test."""
    copy = tmp_path / "gate.sh"
    copy.write_text(SCRIPT.read_text().replace(topology.HEALTH.state, str(tmp_path)))
    return copy


def run(gate: Path, verb: str, credential: Path, *command: str) -> int:
    """Run the script; busybox is what there is in the container."""
    shell = ["busybox", "sh"] if shutil.which("busybox") else ["sh"]
    whole = [*shell, str(gate), verb, str(credential), *command]
    return subprocess.run(whole, check=False, timeout=30, capture_output=True).returncode


def test_a_credential_that_changes_or_goes_is_noticed(gate: Path, tmp_path: Path) -> None:
    """`unchanged` fails then, and then alone: a cluster ends the container for it."""
    credential = tmp_path / "tunnel.json"
    assert run(gate, "unchanged", credential) == 0
    credential.write_text("first")
    assert run(gate, "unchanged", credential) == 0
    assert run(gate, "start", credential, "true") == 0
    assert run(gate, "unchanged", credential) == 0
    credential.write_text("second")
    assert run(gate, "unchanged", credential) == 1
    credential.unlink()
    assert run(gate, "unchanged", credential) == 1


def test_a_container_that_waits_again_is_not_ended(gate: Path, tmp_path: Path) -> None:
    """A cluster keeps the directory of the state: what an earlier start left does not count."""
    credential = tmp_path / "tunnel.json"
    credential.write_text("first")
    assert run(gate, "start", credential, "true") == 0
    credential.unlink()
    with subprocess.Popen(["sh", str(gate), "start", str(credential), "true"]) as waiting:
        while run(gate, "unchanged", credential) != 0:
            assert waiting.poll() is None
        credential.write_text("second")
        assert waiting.wait(timeout=30) == 0
    assert run(gate, "unchanged", credential) == 0

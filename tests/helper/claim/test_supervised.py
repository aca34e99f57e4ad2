"""The claim's duty beside the others: part of the status where there is something to claim."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper import health
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.helper.conftest import Bundle

PACKAGE = str(Path(health.__file__).parents[1])


@pytest.mark.parametrize("claims", [True, False])
def test_the_service_releases_a_tunnels_credential(
    bundle: Bundle, claim_environ: dict[str, str], *, claims: bool
) -> None:
    """Started as in the container, it opens the gate, and its status says so; without a claim neither."""
    environ = {**bundle.environ, "PYTHONPATH": PACKAGE, "PATH": os.environ["PATH"]}
    state = Path(environ["STATE_DIRECTORY"])
    if claims:
        environ = claim_environ | environ
        environ |= {"CLAIM_DIRECTORY": claim_environ["CLAIM_DIRECTORY"]}
    report: dict[str, Any] = {"proof": {}, "problem": None, "instance": "a" * 64, "epoch": 1}
    Path(environ["DATABASE_REPORT_FILE"]).write_text(json.dumps(report))
    command = [sys.executable, "-c", "from bundle_helper.cli import main; main()", "run"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: health.find_problem(str(state), datetime.now(UTC)) is None, "healthy")
            status: dict[str, Any] = json.loads((state / "status.json").read_text())
        finally:
            process.terminate()
    assert ("claim" in status) is claims
    assert Path(claim_environ["RELEASED_CREDENTIAL_FILE"]).exists() is claims
    assert not claims or status["claim"] == {"held": True, "problem": None}

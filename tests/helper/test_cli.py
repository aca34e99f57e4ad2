"""The commands end cleanly when asked to, whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_waiting_bootstrap_ends_when_asked(
    secrets_directory: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """While it waits for PostgreSQL a signal ends it at once, without a traceback."""
    (tmp_path / "media").mkdir()
    environ = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": "1",
        "SERVER_NAME": "example.org",
        "INSTANCE_FILE": str(tmp_path / "instance"),
        "CLAIM_DIRECTORY": "none",
        "DATABASE_PATIENCE": "600",
        "DATABASE_NAME": "synapse",
        "DATABASE_ROLE": "synapse_user",
        "SUPERUSER_PASSWORD_FILE": str(secrets_directory / "postgres_password"),
        "ROLE_PASSWORD_FILE": str(secrets_directory / "synapse_database_password"),
        "VOLUME_OWNERS": f"{tmp_path / 'media'}={os.geteuid() or 991}",
        "REPORT_FILE": str(tmp_path / "database.json"),
        "PYTHONPATH": str(REPOSITORY / "images" / "helper"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from bundle_helper.cli import main; main()", "bootstrap"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        while "waiting for PostgreSQL" not in process.stdout.readline():
            assert process.poll() is None
        asked = time.monotonic()
        process.send_signal(number)
        said, _ = process.communicate(timeout=10)
    assert time.monotonic() - asked < 5
    assert process.returncode == 1
    assert "Traceback" not in said

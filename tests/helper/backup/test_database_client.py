"""How PostgreSQL's programs get the superuser's password: by a file, which is one process's alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from bundle_helper.backup.database_dump import prepare_client
from bundle_helper.settings.backup_settings import BackupSettings
from bundle_helper.settings.environment import Secret

_PREPARE = """
import os
from bundle_helper.backup.database_dump import prepare_client
from bundle_helper.settings.backup_settings import BackupSettings
print(prepare_client(BackupSettings.from_environ(os.environ))["PGPASSFILE"])
"""


def test_a_drill_beside_a_backup_keeps_its_password_apart(folder_environ: dict[str, str]) -> None:
    """In a cluster both run in one container, and each has a server of its own."""
    settings = BackupSettings.from_environ(folder_environ)
    private = replace(settings.database, superuser_password=Secret("of the drill"))
    own = Path(prepare_client(replace(settings, database=private))["PGPASSFILE"])
    done = subprocess.run(
        [sys.executable, "-c", _PREPARE],
        check=True,
        capture_output=True,
        text=True,
        env={**folder_environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": "images/helper"},
    )
    assert own.read_text() == "*:*:*:postgres:of the drill\n"
    other = Path(done.stdout.strip())
    assert settings.database.superuser_password.reveal() in other.read_text()
    assert (own.stat().st_mode, other.stat().st_mode) == (0o100600, 0o100600)

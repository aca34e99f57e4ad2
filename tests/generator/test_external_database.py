"""A bundle whose database somebody else runs: its secrets, and what its commands say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from synapse_bundle.commands import unpack
from synapse_bundle.credentials import collection, provided
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.settings import DIRECTORY

EXTERNAL = loading.load(DIRECTORY / "external_database.yaml")
OPERATED = Settings.model_validate({"kubernetes": {"database": "cloudnative-pg"}})
OWN_SECRETS = {"postgres_password", "synapse_database_password", "backup_password"}
DATABASE = "database: {host: 10.0.0.5, password: password, sslmode: disable}\n"


def run(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run a command on a machine without Docker; return its exit code and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "synapse_bundle", *arguments],
        cwd=directory,
        env=os.environ | {"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_password_and_the_root_are_copied(tmp_path: Path) -> None:
    """Nothing is generated that only the bundle's own PostgreSQL, or a backup of it, would need."""
    made = collection.collect(tmp_path, EXTERNAL, DIRECTORY)
    assert made["database_password"] == 'a password: of "seven" words'
    assert made["database_root.pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert OWN_SECRETS & set(made.values) == set()


def test_an_operator_gets_a_generated_password(tmp_path: Path) -> None:
    """It makes the role with it; there is no superuser to sign in as."""
    made = collection.collect(tmp_path, OPERATED, tmp_path).values
    assert OWN_SECRETS & set(made) == {"synapse_database_password"}


def test_what_is_missing_or_unusable_is_named_by_its_key(tmp_path: Path) -> None:
    """Both files at once, by name and never by content."""
    (tmp_path / "root.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(SettingsError) as caught:
        collection.collect(tmp_path / "bundle", EXTERNAL, tmp_path)
    assert "database_password: does not exist; database.password names it" in caught.value.message
    assert "is not a PEM file that holds only certificates" in caught.value.message
    for value in ("", "two\nlines", " before", "windows\r"):
        assert "must be one line" in provided.check_database_password(value)


def test_a_bundle_changes_over_and_back(tmp_path: Path) -> None:
    """What its own database mounts goes; its secrets wait in their files for the way back."""
    (tmp_path / "password").write_text("a password\n")
    secrets = tmp_path / "bundle" / "secrets"
    assert run(tmp_path, "generate")[0] == 0
    before = {name: (secrets / name).read_bytes() for name in OWN_SECRETS}
    (tmp_path / "settings.yaml").write_text(DATABASE)
    code, said = run(tmp_path, "generate")
    assert code == 0, said
    # The container of its own PostgreSQL would run on.
    assert "docker compose up -d --remove-orphans" in said
    assert not (tmp_path / "bundle" / "postgres" / "start.sh").exists()
    assert not (tmp_path / "bundle" / "drill.yaml").exists()
    assert (secrets / "database_password").read_text() == "a password\n"
    (tmp_path / "settings.yaml").unlink()
    assert run(tmp_path, "generate")[0] == 0
    assert not (secrets / "database_password").exists()
    assert {name: (secrets / name).read_bytes() for name in OWN_SECRETS} == before


def test_a_drill_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """There are no sets, and nothing that could restore one."""
    (tmp_path / "password").write_text("a password\n")
    (tmp_path / "settings.yaml").write_text(DATABASE)
    assert run(tmp_path, "generate")[0] == 0
    code, said = run(tmp_path, "drill")
    assert code == 1
    assert said == (
        "Error: bundle has no drill.yaml: its database is not the bundle's own, so it makes no sets that a"
        " drill could restore\n"
    )


def test_only_a_cluster_starts_what_an_operator_serves(tmp_path: Path) -> None:
    """`generate` names the next command, and `up` says why it is not the one."""
    (tmp_path / "settings.yaml").write_text("kubernetes: {database: cloudnative-pg}\n")
    code, said = run(tmp_path, "up")
    assert code == 2
    assert "cloudnative-pg runs PostgreSQL in a cluster alone" in said
    assert not (tmp_path / "bundle").exists()
    code, said = run(tmp_path, "generate")
    assert (code, said.splitlines()[-1]) == (0, "Next:  synapse-bundle kubernetes")
    code, said = run(tmp_path, "generate", "--output", "other")
    assert said.splitlines()[-1] == "Next:  synapse-bundle kubernetes --output=other"


def test_an_unpacked_bundle_is_not_told_to_restore(tmp_path: Path) -> None:
    """It has no restore; its data is where it was, and in use until the first server is stopped."""
    (tmp_path / "password").write_text("a password\n")
    (tmp_path / "settings.yaml").write_text(DATABASE)
    assert run(tmp_path, "generate")[0] == 0
    started = SimpleNamespace(index=SimpleNamespace(started=True))
    following = unpack._write_next(started, tmp_path / "bundle")  # type: ignore[arg-type]
    assert "restore" not in following
    assert "first stop the server on the other machine" in following

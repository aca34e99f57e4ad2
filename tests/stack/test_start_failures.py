"""What keeps a bundle from starting, and what it says: wrong files, ports, volumes and places."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.stack.fault_injection import ask_database, run_in_volume
from tests.support.engine import try_docker
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.engine

# Retries of PostgreSQL's health check: so many failed probes end a container's credit.
RETRIES: Final = 6
LIST: Final = "find . | sort | xargs ls -ld --full-time"
WAITING: Final = """\
services:
  postgres:
    entrypoint:
      - /bin/bash
      - -c
      - until [ -e /run/postgresql/go ]; do sleep 0.1; done; exec /bin/bash /srv/postgres/start.sh "$$@"
      - start
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The trial, generated and never started."""
    stack = generate(tmp_path_factory.mktemp("start"), "start", "")
    stack.build()
    return stack


@pytest.fixture
def bundle(generated: Stack) -> Iterator[Stack]:
    """A bundle that a test may spoil; files and volumes are new for each."""
    kept = generated.directory.with_name("kept")
    shutil.copytree(generated.directory, kept)
    try:
        yield generated
    finally:
        generated.compose("down", "--volumes", "--remove-orphans", "--timeout", "0", check=False)
        shutil.rmtree(generated.directory)
        kept.rename(generated.directory)


def run_once(stack: Stack, service: str) -> subprocess.CompletedProcess[str]:
    """Run a service in the foreground, without those it depends on, to see how it ends.

    Compose may miss what a container says that ends at once, so the engine's log of it counts too.
    """
    name = f"{stack.project}-once"
    command = ["docker", "compose", "run", "--name", name, "--no-deps", "--no-TTY", service]
    try:
        done = run(command, cwd=stack.directory, check=False, timeout=PATIENCE)
        logged = try_docker("logs", name)
        done.stdout += logged.stdout
        done.stderr += logged.stderr
        return done
    finally:
        try_docker("rm", "--force", name)


def spoil(path: Path, how: str) -> None:
    """Make a secret file unusable."""
    if how in ("missing", "directory"):
        path.unlink()
    if how == "directory":
        path.mkdir()
    if how == "empty":
        path.chmod(0o600)
        path.write_text("")
        path.chmod(0o444)
    if how == "private":
        path.chmod(0o600)


@pytest.mark.parametrize(
    ("service", "secret", "how"),
    [
        ("postgres", "postgres_password", "missing"),
        ("postgres", "postgres_password", "directory"),
        ("postgres", "postgres_password", "private"),
        ("postgres", "postgres_password", "empty"),
        ("bootstrap", "synapse_database_password", "directory"),
        ("bootstrap", "synapse_database_password", "empty"),
        ("synapse", "synapse.yaml", "private"),
        ("synapse", "signing.key", "missing"),
        ("synapse", "signing.key", "empty"),
        ("helper", "authority.key", "missing"),
        ("helper", "admin_password", "private"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_by_the_service_that_needs_it(
    bundle: Stack, service: str, secret: str, how: str
) -> None:
    """A service whose secret is missing, a directory, private or empty does not start and names it.

    No password is empty, and no key is replaced.
    """
    # As bootstrap would, before Synapse first starts.
    run_in_volume(bundle, "media", "chown 991:991 .")
    path = bundle.directory / "secrets" / secret
    before = path.read_bytes()
    spoil(path, how)
    done = run_once(bundle, service)
    assert done.returncode != 0
    assert f"secrets/{secret}" in done.stdout + done.stderr
    assert path.exists() == (how != "missing")
    assert not path.is_file() or path.read_bytes() in (b"", before)


def test_generate_repairs_the_modes_of_secrets(bundle: Stack) -> None:
    """`generate` makes private secrets readable for containers again and changes no secret."""
    secrets = bundle.directory / "secrets"
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    for path in secrets.iterdir():
        path.chmod(0o600)
    secrets.chmod(0o755)
    output = bundle.generate().stdout
    assert "update    secrets/signing.key" in output
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    modes = {path.name: path.stat().st_mode & 0o777 for path in secrets.iterdir()}
    assert modes.pop("instance") == 0o666
    assert set(modes.values()) == {0o444}
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_a_slow_start_of_postgresql_is_waited_for(bundle: Stack) -> None:
    """PostgreSQL may start slowly: it is not given up, bootstrap waits, and Synapse starts after it."""
    (bundle.directory / "compose.override.yaml").write_text(WAITING)
    failed: set[str] = set()
    command = ["docker", "compose", "up", "--detach", "synapse"]
    with subprocess.Popen(
        command, cwd=bundle.directory, stderr=subprocess.PIPE, text=True
    ) as starting:
        wait_for(lambda: bundle.container("postgres") != "", "the container is there")
        wait_for(lambda: count_failed(bundle, failed) > RETRIES, "probes have failed in plenty")
        assert bundle.health("postgres") == "starting"
        assert bundle.inspect("synapse")["State"]["Status"] == "created"
        assert starting.poll() is None
        bundle.compose("exec", "--no-TTY", "postgres", "touch", "/run/postgresql/go")
        output = starting.communicate()[1]
    assert starting.returncode == 0, output
    assert bundle.inspect("postgres")["RestartCount"] == 0
    assert bundle.inspect("bootstrap")["State"]["ExitCode"] == 0
    assert bundle.inspect("synapse")["State"]["Running"]


def count_failed(stack: Stack, failed: set[str]) -> int:
    """Add the failed probes that the engine remembers, which are few, and count all."""
    probes = stack.inspect("postgres")["State"].get("Health", {}).get("Log") or []
    failed.update(probe["Start"] for probe in probes if probe["ExitCode"])
    return len(failed)


def test_a_database_of_another_locale_keeps_synapse_from_starting(bundle: Stack) -> None:
    """A database of another locale keeps Synapse from starting until the advice was followed.

    Typing what the message says helps, without losing a row.
    """
    bundle.compose("up", "--detach", "--wait", "postgres")
    locale = "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    ask_database(bundle, "postgres", f"CREATE DATABASE synapse TEMPLATE template0 {locale}")
    ask_database(bundle, "synapse", "CREATE TABLE kept AS SELECT 42 AS answer")
    done = bundle.compose("up", "--detach", check=False)
    assert done.returncode != 0
    assert bundle.inspect("synapse")["State"]["Status"] == "created"
    output = bundle.compose("logs", "--no-log-prefix", "bootstrap").stdout
    assert "collation is C.UTF-8 and must be C" in output
    advice = next(each for each in output.split("`") if "RENAME" in each)
    typed = subprocess.run(
        ["sh", "-c", advice.replace(" exec ", " exec --no-TTY ")],
        cwd=bundle.directory,
        input=bundle.secret("postgres_password") + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.returncode == 0, typed.stderr
    assert run_once(bundle, "bootstrap").returncode == 0
    assert ask_database(bundle, "synapse_old", "SELECT answer FROM kept") == "42"
    found = "SELECT datcollate FROM pg_database WHERE datname = 'synapse'"
    assert ask_database(bundle, "postgres", found) == "C"


def test_data_of_another_major_version_is_refused_and_not_touched(bundle: Stack) -> None:
    """Data of another major version is refused, with both versions and the way out, and not touched."""
    bundle.compose("create", "postgres")
    seed = (
        "mkdir -p 16/docker/base && echo 16 > 16/docker/PG_VERSION && echo row > 16/docker/base/1"
    )
    run_in_volume(bundle, "postgres", f"{seed} && chown -R 999:999 .")
    before = run_in_volume(bundle, "postgres", LIST)
    done = run_once(bundle, "postgres")
    assert done.returncode == 1
    assert "REFUSED: this volume holds PostgreSQL 16 data" in done.stderr
    assert "this image is PostgreSQL 18" in done.stderr
    assert "upgrade-database leads to a newer one" in done.stderr
    assert run_in_volume(bundle, "postgres", LIST) == before
    assert "16/docker/base/1" in before

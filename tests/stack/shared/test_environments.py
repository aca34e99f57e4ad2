"""A bundle in unusual surroundings: taken ports, missing engines, odd environments and paths."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run
from tests.support.stacks import REPOSITORY, Stack, generate

pytestmark = pytest.mark.engine


@pytest.fixture
def bundle(tmp_path: Path) -> Stack:
    """The trial, generated and never started."""
    return generate(tmp_path, "places", "")


def run_command(stack: Stack, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `synapse-bundle` command on a bundle; never with a traceback."""
    files = ["--output", str(stack.directory)]
    files += ["--settings", str(stack.settings)] if command != "check" else []
    done = run(
        [sys.executable, "-m", "synapse_bundle", command, *files],
        cwd=stack.directory.parent,
        environment={"PYTHONPATH": str(stack.source / "generator"), **environment},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def occupied(bundle: Stack) -> Iterator[socket.socket]:
    """Another process listens on Apache's published port."""
    with socket.create_server(("127.0.0.1", bundle.https_port)) as server:
        yield server


def test_a_taken_port_is_named_and_the_rest_is_not_affected(trial: Stack) -> None:
    """A taken port fails `up` by name, affects no other service, and heals with the next `up`."""
    trial.compose("rm", "--stop", "--force", "apache")
    with socket.create_server(("127.0.0.1", trial.https_port)):
        done = trial.compose("up", "--detach", check=False)
        assert done.returncode != 0
        assert f"127.0.0.1:{trial.https_port}" in done.stderr
        assert "address already in use" in done.stderr
        for service in ("postgres", "synapse", "helper"):
            assert trial.health(service) == "healthy", service
    trial.up()
    assert trial.ask("GET", "/_matrix/client/versions").status == 200


def test_up_names_a_taken_port_before_it_starts_anything(bundle: Stack, occupied: object) -> None:
    """`synapse-bundle up` says which port is taken, by whom and what to change, and starts nothing."""
    done = run_command(bundle, "up")
    assert done.returncode == 1
    assert f"port {bundle.https_port} is taken by" in done.stderr
    assert f"(process {os.getpid()})" in done.stderr
    assert "ports.https" in done.stderr
    assert bundle.compose("ps", "--all", "--quiet").stdout == ""


@pytest.fixture(params=["not running", "forbidden"])
def engineless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment without a usable engine: none runs, or its socket is forbidden."""
    address, wrapper = tmp_path / "docker.sock", tmp_path / "bin" / "docker"
    environment = {"DOCKER_HOST": f"unix://{address}"}
    with socket.socket(socket.AF_UNIX) as listener:
        if request.param == "forbidden":
            listener.bind(str(address))
            address.chmod(0)
        if request.param == "forbidden" and os.geteuid() == 0:
            # A root that is bound by the modes of files, as other users are.
            wrapper.parent.mkdir()
            drop = "setpriv --bounding-set=-dac_override,-dac_read_search"
            wrapper.write_text(f'#!/bin/sh\nexec {drop} {shutil.which("docker")} "$@"\n')
            wrapper.chmod(0o755)
            environment["PATH"] = f"{wrapper.parent}:{os.environ['PATH']}"
        yield environment


def test_without_an_engine_generate_works_and_up_says_why_not(
    bundle: Stack, engineless: dict[str, str]
) -> None:
    """Without an engine `generate` does its work, and `up` ends with code 1 and says why."""
    with bundle.settings.open("a") as file:
        file.write("max_upload_size: 20M\n")
    try:
        generated = run_command(bundle, "generate", **engineless)
        assert generated.returncode == 0, generated.stderr
        assert "update    compose.yaml" in generated.stdout
        started = run_command(bundle, "up", **engineless)
    finally:
        lines = bundle.settings.read_text().splitlines()
        bundle.settings.write_text("\n".join(lines[:-1]) + "\n")
    assert started.returncode == 1
    address = engineless["DOCKER_HOST"]
    assert address in started.stderr
    assert started.stderr.splitlines()[-1].startswith("Error: ")


def read_model(folder: Path, **environment: str) -> Any:
    """Return the project as Compose sees it from a directory, with what only commands start."""
    command = ["docker", "compose", "--profile", "tools", "config", "--format", "json"]
    return json.loads(run(command, cwd=folder, environment=environment).stdout)


def test_no_environment_changes_the_project(bundle: Stack) -> None:
    """Neither a .env file nor exported variables change the project: nothing is interpolated."""
    before = read_model(bundle.directory)
    names = {name for each in before["services"].values() for name in each.get("environment", {})}
    assert "DATABASE_HOST" in names
    others = {
        "POSTGRES_PASSWORD",
        "SYNAPSE_CONFIG_DIR",
        "TAG",
        "COMPOSE_PROFILES",
        "HOMESERVER_PORT",
    }
    values = dict.fromkeys(names | others, "changed$HOME")
    (bundle.directory / ".env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    assert read_model(bundle.directory) == before
    assert read_model(bundle.directory, **values) == before


def test_a_broken_env_file_is_named_and_is_not_ours(bundle: Stack) -> None:
    """A .env that Compose cannot read is named by Compose, and we neither write nor change it."""
    before = read_model(bundle.directory)
    assert not (bundle.directory / ".env").exists()
    (bundle.directory / ".env").write_text("PASSWORD='it''s\n")
    done = bundle.compose("config", "--quiet", check=False)
    assert done.returncode != 0
    assert ".env" in done.stderr
    bundle.generate()
    (bundle.directory / ".env").unlink()
    assert read_model(bundle.directory) == before


def test_commands_are_about_this_bundle_whatever_is_exported(trial: Stack, tmp_path: Path) -> None:
    """`check` checks its own bundle, whatever COMPOSE_FILE or COMPOSE_PROJECT_NAME is exported."""
    other = tmp_path / "compose.yaml"
    other.write_text("services: {helper: {image: nothing}}\n")
    assert run_command(trial, "check", COMPOSE_FILE=str(other)).returncode == 0
    astray = run_command(trial, "check", COMPOSE_PROJECT_NAME="somebody-elses")
    assert astray.returncode != 0
    assert "not running" in astray.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which the default bundle was generated."""
    shutil.copy(REPOSITORY / "compose.yaml", tmp_path)
    run(
        [sys.executable, "-m", "synapse_bundle", "generate"],
        cwd=tmp_path,
        environment={"PYTHONPATH": str(REPOSITORY / "generator")},
    )
    return tmp_path


def read_identity(folder: Path) -> dict[str, Any]:
    """Return the names that a project has in the engine, and what it mounts from where."""
    model = read_model(folder)
    return {
        "name": model["name"],
        "volumes": {key: each["name"] for key, each in model["volumes"].items()},
        "networks": {key: each["name"] for key, each in model["networks"].items()},
        "labels": {key: each["labels"] for key, each in model["services"].items()},
        "mounts": sorted(
            # Compose writes a dollar twice.
            Path(mount["source"].replace("$$", "$"))
            for service in model["services"].values()
            for mount in service["volumes"]
            if mount["type"] == "bind"
        ),
    }


def test_the_project_is_the_same_from_every_place(checkout: Path) -> None:
    """From any place, through a link and after a move it is the same project with the same volumes.

    The new paths have spaces, colons, other alphabets and what a shell would read.
    """
    bundle = checkout / "bundle"
    before = read_identity(bundle)
    assert before["name"] == "homeserver"
    assert before["volumes"]["postgres"] == "homeserver_postgres"
    assert all(mount.is_relative_to(bundle) for mount in before["mounts"])
    (checkout / "link").symlink_to("bundle")
    assert read_identity(checkout) == before
    assert read_identity(bundle / "apache" / "htdocs") == before
    assert same_files(read_identity(checkout / "link"), before)
    for name in ("-moved", "a b:c", "Bündel ß 束", "it's $HOME"):
        moved = bundle.rename(checkout / name)
        after = read_identity(moved)
        assert all(mount.is_relative_to(moved) for mount in after["mounts"]), name
        assert {k: after[k] for k in after if k != "mounts"} == {
            k: before[k] for k in before if k != "mounts"
        }, name
        # The first backup makes its folder.
        assert all(m.exists() for m in after["mounts"] if m != moved / "backups")
        bundle = moved


def same_files(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two projects are the same, though the paths to their files may differ."""
    resolved = [{**each, "mounts": [m.resolve() for m in each["mounts"]]} for each in (one, other)]
    return resolved[0] == resolved[1]


def test_no_file_knows_where_it_was_generated(checkout: Path) -> None:
    """No rendered file holds the absolute path of its bundle, nor of the directory above."""
    files = [path for path in (checkout / "bundle").rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if str(checkout).encode() in path.read_bytes()] == []

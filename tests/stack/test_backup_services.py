"""The containers of backup and restore, as the engine sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from synapse_bundle import topology
from tests.support.processes import run
from tests.support.stacks import Stack, generate

pytestmark = pytest.mark.engine

SERVICES: Final = ("backup", "restore")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A bundle whose containers are created and never started."""
    made = generate(tmp_path_factory.mktemp("backup"), "backup", "")
    try:
        made.build("--profile", "tools")
        made.compose("--profile", "tools", "create")
        yield made
    finally:
        made.compose("--profile", "tools", "down", "--volumes", "--timeout", "0", check=False)


@pytest.fixture(params=SERVICES)
def container(stack: Stack, request: pytest.FixtureRequest) -> Any:
    """What the engine knows about each of them."""
    return stack.inspect_all()[request.param]


def test_every_volume_has_a_name(stack: Stack, container: Any) -> None:
    """The volume that PostgreSQL's image declares is covered: no run leaves one behind."""
    names = {mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"}
    assert names <= {f"{stack.project}_{name}" for name in ("media", "backup", "report")}
    assert topology.POSTGRES.declared_volume in container["HostConfig"]["Tmpfs"]


def test_the_folder_is_seen_whole_and_read_only(stack: Stack, container: Any) -> None:
    """Everything in the folder can be part of a set, and nothing in it be changed."""
    mounts = {mount["Destination"]: mount for mount in container["Mounts"]}
    bundle = mounts[topology.BACKUP.bundle]
    assert (bundle["Source"], bundle["RW"]) == (str(stack.directory), False)
    repository = mounts[topology.BACKUP.repository]
    assert (repository["Source"], repository["RW"]) == (str(stack.directory / "backups"), True)


def test_no_secret_is_in_the_container_s_configuration(stack: Stack, container: Any) -> None:
    """Environment, arguments and labels name files, and hold no value of one."""
    text = str(container["Config"])
    for file in (stack.directory / "secrets").iterdir():
        value = file.read_text().strip()
        assert not value or value not in text, file.name


def test_locks_of_the_repository_have_one_host(container: Any) -> None:
    """Restic recognizes a lock that an interrupted run of the same host has left."""
    assert container["Config"]["Hostname"] == topology.BACKUP.host


def test_the_server_comes_first(stack: Stack) -> None:
    """A backup gets a smaller share of the processors than each of the server's containers."""
    shares = {name: one["HostConfig"]["CpuShares"] for name, one in stack.inspect_all().items()}
    # 0 is the engine's default, 1024.
    assert 0 < shares.pop("backup") <= 128
    assert set(shares.values()) == {0}


def test_nothing_is_left_of_them(stack: Stack) -> None:
    """`down --volumes` removes also what only they use, without their profile being named."""
    stack.compose("--profile", "tools", "rm", "--force", *SERVICES)
    stack.down()
    left = ["docker", "volume", "ls", "--quiet", "--filter", f"name={stack.project}_"]
    assert run(left).stdout == ""

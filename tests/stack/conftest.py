"""The running bundles that the stack tests share: starting one takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.engine import docker, try_docker
from tests.support.stacks import REPOSITORY, Stack, generate

DOMAIN: Final = """\
server_name: alpha.test
email: you@alpha.test
certificates: own-authority
admin: alice
"""
NEIGHBOR: Final = """\
server_name: beta.test
email: you@beta.test
certificates: own-authority
"""
NEIGHBORS_ROOT: Final = "/etc/neighbor.pem"
# A neighbor on the same host has a private address, and an authority of its own.
FEDERATION: Final = f"""\
federation_custom_ca_list: [{NEIGHBORS_ROOT}]
ip_range_whitelist: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
trusted_key_servers: []
"""


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The trial on localhost, healthy."""
    stack = generate(tmp_path_factory.mktemp("trial"), "trial", "")
    yield from keep(stack)


@pytest.fixture(scope="session")
def neighbors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, Stack]:
    """Two domains on one host that trust each other's authority; generated, not started."""
    alpha, beta = (tmp_path_factory.mktemp(name) for name in ("alpha", "beta"))
    return (
        generate(alpha, "alpha", DOMAIN, tunnel=True, override=trust(beta), synapse=FEDERATION),
        generate(beta, "beta", NEIGHBOR, override=trust(alpha), synapse=FEDERATION),
    )


def trust(neighbor: Path) -> str:
    """Return the override that shows two services the authority of another test's bundle."""
    authority = neighbor / "bundle" / "secrets" / "authority.pem"
    volumes = f"{{volumes: ['{authority}:{NEIGHBORS_ROOT}:ro']}}"
    return f"synapse: {volumes}\nhelper: {volumes}\n"


@pytest.fixture(scope="session")
def domain(neighbors: tuple[Stack, Stack]) -> Iterator[Stack]:
    """A real domain behind the tunnel's double, healthy."""
    yield from keep(neighbors[0])


@pytest.fixture(scope="session")
def neighbor(neighbors: tuple[Stack, Stack]) -> Iterator[Stack]:
    """A second domain on the same host, healthy."""
    yield from keep(neighbors[1])


@pytest.fixture(scope="session", params=["trial", "domain"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Both shapes in turn, healthy."""
    shape: Stack = request.getfixturevalue(request.param)
    return shape


def keep(stack: Stack) -> Iterator[Stack]:
    """Run a stack for as long as it is used, and remove every trace of it."""
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        remove_images(stack)


def remove_images(stack: Stack) -> None:
    """Remove the images that were built for a test's own checkout; others may use the shared ones."""
    if stack.source != REPOSITORY:
        built = ["--filter", f"label=com.docker.compose.project={stack.project}"]
        found = docker("image", "ls", "--quiet", *built).split()
        try_docker("image", "rm", "--force", *sorted(set(found)))

"""The running bundles that these tests share: starting one takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.stack.lifetime import keep
from tests.stack.neighbors import FEDERATION, trust
from tests.support.stacks import Stack, generate

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
SHARED: Final = ("trial", "domain", "neighbor", "stack")


@pytest.fixture(scope="package")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The trial on localhost, healthy."""
    stack = generate(tmp_path_factory.mktemp("trial"), "trial", "")
    yield from keep(stack)


@pytest.fixture(scope="package")
def neighbors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, Stack]:
    """Two domains on one host that trust each other's authority; generated, not started."""
    alpha, beta = (tmp_path_factory.mktemp(name) for name in ("alpha", "beta"))
    return (
        generate(alpha, "alpha", DOMAIN, tunnel=True, override=trust(beta), synapse=FEDERATION),
        generate(beta, "beta", NEIGHBOR, override=trust(alpha), synapse=FEDERATION),
    )


@pytest.fixture(scope="package")
def domain(neighbors: tuple[Stack, Stack]) -> Iterator[Stack]:
    """A real domain behind the tunnel's double, healthy."""
    yield from keep(neighbors[0])


@pytest.fixture(scope="package")
def neighbor(neighbors: tuple[Stack, Stack]) -> Iterator[Stack]:
    """A second domain on the same host, healthy."""
    yield from keep(neighbors[1])


@pytest.fixture(scope="package", params=["trial", "domain"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Both shapes in turn, healthy."""
    shape: Stack = request.getfixturevalue(request.param)
    return shape


def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Start what a failed test has left stopped, so that the tests after it fail for reasons of their own."""
    found = getattr(node, "funcargs", {})
    for name in SHARED:
        if isinstance(stack := found.get(name), Stack):
            stack.compose("up", "--detach", "--wait", check=False)

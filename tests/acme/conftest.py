"""The fake internet that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acme.bundles import Alone, generate_bundle
from tests.acme.internet import TOKEN, Internet, run_internet
from tests.stack.stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """A fake internet, used by one test after the other."""
    with run_internet(tmp_path_factory.mktemp("internet")) as internet:
        yield internet


@pytest.fixture
def internet(running_internet: Internet) -> Iterator[Internet]:
    """The fake internet, working and without a past; every request to it must be one that it knows."""
    running_internet.reset()
    yield running_internet
    assert running_internet.look()["violations"] == []


@pytest.fixture(scope="session")
def bundle(running_internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A bundle for example.test, generated and not started."""
    return generate_bundle(tmp_path_factory.mktemp("acme"), "acme", running_internet)


@pytest.fixture
def helper(bundle: Stack, internet: Internet) -> Iterator[Alone]:
    """The bundle's helper on empty volumes, not started; it never shows the token."""
    override = bundle.directory / "compose.override.yaml"
    before, alone = override.read_text(), Alone(stack=bundle)
    try:
        yield alone
        assert TOKEN not in alone.logs()
    finally:
        alone.remove()
        override.write_text(before)

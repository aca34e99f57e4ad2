"""The two runtimes of the Worker, started once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import node
from tests.worker.expected_answers import DOMAINS, read_shape
from tests.worker.node_importer import run_importer
from tests.worker.runtime import Runtime
from tests.worker.workerd import install_workerd, run_workerd


@pytest.fixture(scope="session")
def importer() -> Iterator[Runtime]:
    """Node.js itself."""
    if obstacle := node.find_obstacle():
        node.give_up(obstacle)
    with run_importer() as runtime:
        yield runtime


@pytest.fixture(scope="session")
def workerd(importer: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Cloudflare's runtime with the Workers of all shapes."""
    try:
        program = install_workerd()
    except RuntimeError as error:
        node.give_up(str(error))
    workers = [read_shape(shape).worker for shape in DOMAINS]
    with run_workerd(program, tmp_path_factory.mktemp("workerd"), workers) as runtime:
        yield runtime


@pytest.fixture(scope="session", params=["importer", "workerd"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each of the two in turn."""
    chosen: Runtime = request.getfixturevalue(request.param)
    return chosen

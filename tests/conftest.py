"""What all tests share: the command line's options, the engine, and generated bundles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import cloudflared, engine

NO_ENGINE = "no Docker Engine"
NO_CLOUDFLARED = "no real cloudflared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden bundles")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs an engine or a program that is missing; slow tests last."""
    fault = engine.find_fault()
    if fault and engine.is_required():
        pytest.exit(f"an engine is required here, and {fault}", returncode=1)
    missing = cloudflared.find_fault()
    if missing and cloudflared.is_required():
        pytest.exit(f"the real cloudflared is required here, and {missing}", returncode=1)
    for item in items:
        if missing and item.get_closest_marker("cloudflared"):
            item.add_marker(pytest.mark.skip(reason=f"{NO_CLOUDFLARED}: {missing}"))
        if fault and item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.skip(reason=f"{NO_ENGINE}: {fault}"))
    items.sort(key=lambda item: "/tests/stack/" in str(item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, what was skipped because an engine or a program is missing."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for mark, what, find_fault in (
        (NO_ENGINE, "a Docker Engine", engine.find_fault),
        (NO_CLOUDFLARED, "the real cloudflared", cloudflared.find_fault),
    ):
        if number := sum(mark in reason for reason in skipped):
            line = f"{number} tests need {what} and were skipped: {find_fault()}"
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled templates of the tests do not go into the developer's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))

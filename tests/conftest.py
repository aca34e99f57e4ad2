"""What all tests share: the command line's options, the engine, and generated bundles."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import cloudflared


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden bundles")


@functools.cache
def find_engine_fault() -> str:
    """Return one line on why no Docker test can run here, or nothing."""
    if not shutil.which("docker"):
        return "the docker command is not installed"
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            return (answer.stderr.strip() or f"{' '.join(command)} failed").splitlines()[-1]
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs an engine or a program that is not here; slow tests last."""
    fault = find_engine_fault()
    if fault and os.environ.get("SYNAPSE_BUNDLE_REQUIRE_ENGINE"):
        pytest.exit(f"an engine is required here, and {fault}", returncode=1)
    missing = cloudflared.find_fault()
    if missing and os.environ.get("SYNAPSE_BUNDLE_REQUIRE_CLOUDFLARED"):
        pytest.exit(f"the real cloudflared is required here, and {missing}", returncode=1)
    for item in items:
        if missing and item.get_closest_marker("cloudflared"):
            item.add_marker(pytest.mark.skip(reason=f"no real cloudflared: {missing}"))
        if fault and item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.skip(reason=f"no Docker Engine: {fault}"))
    items.sort(key=lambda item: "/tests/stack/" in str(item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, what was skipped for want of an engine or of a program."""
    fault = find_engine_fault()
    skipped = [
        r
        for r in terminalreporter.stats.get("skipped", [])
        if "no Docker Engine" in str(r.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests need a Docker Engine and were skipped: {fault}"
        )
    unjudged = [
        r
        for r in terminalreporter.stats.get("skipped", [])
        if "no real cloudflared" in str(r.longrepr)
    ]
    if unjudged:
        terminalreporter.write_line(
            f"{len(unjudged)} tests need the real cloudflared and were skipped:"
            f" {cloudflared.find_fault()}"
        )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled templates of the tests do not go into the developer's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))

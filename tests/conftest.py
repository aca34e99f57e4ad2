"""What all tests share: the command line's options, what they need, and who runs them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import settings

from tests.support import cloudflared, engine, kubernetes


class Need(NamedTuple):
    """What tests with a mark need: its name in sentences, and the module that looks for it."""

    mark: str
    what: str
    finder: ModuleType


NEEDS: Final = (
    Need("engine", "a Docker Engine", engine),
    Need("cloudflared", "the real cloudflared", cloudflared),
    Need("kubernetes", "a Kubernetes cluster", kubernetes),
)
# The tests of each folder share what takes long to start, so that one process runs them all.
TOGETHER: Final = ("tests/cluster/", "tests/stack/shared/")
# Whole servers, the longest first. Several processes begin with them: whoever gets a long file last
# keeps the others waiting. One process ends with them: what is quick fails first.
SLOW: Final = (*TOGETHER, "tests/acme/", "tests/stack/")
# An example may take as long as a busy machine needs for it.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden bundles")
    parser.addoption(
        "--failures-at-once", action="store_true", help="show failures at the end and at once"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Heed SIGINT, which a shell lets its background jobs ignore, and they the programs that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--failures-at-once"):
        config.pluginmanager.register(FailureReporter(config))


class FailureReporter:
    """Shows a failure at once: whoever ends a run that takes too long still reads why."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure where this process has a terminal, which those of xdist have not."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line(f"\n{report.when} of {report.nodeid}:\n{report.longreprtext}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs something that is missing; put the slow tests together."""
    for need in NEEDS:
        fault = need.finder.find_fault()
        if fault and need.finder.is_required():
            pytest.exit(f"{need.what} is required here, and {fault}", returncode=1)
        for item in items:
            if fault and item.get_closest_marker(need.mark):
                item.add_marker(pytest.mark.skip(reason=f"without {need.what}: {fault}"))
    shared = hasattr(config, "workerinput")
    items.sort(key=lambda item: rank(item.nodeid) if shared else -rank(item.nodeid))


def rank(test: str) -> int:
    """Return how late a test comes where several processes share the work."""
    return next((n for n, folder in enumerate(SLOW) if test.startswith(folder)), len(SLOW))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, what was skipped because something it needs is missing."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for need in NEEDS:
        if number := sum(f"without {need.what}: " in reason for reason in skipped):
            line = f"{number} tests need {need.what} and were skipped: {need.finder.find_fault()}"
            terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a folder whose tests share much to one process, as if it were one file; keep the order."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None
    # Otherwise the files with the most tests come first, and those are the quick ones.
    config.option.loadscopereorder = False
    scheduler = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    scheduler._split_scope = lambda test: next(filter(test.startswith, TOGETHER), by_file(test))
    return scheduler


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled templates of the tests do not go into the developer's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))

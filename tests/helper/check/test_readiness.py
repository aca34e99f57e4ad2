"""A check right after `up` waits for what is still starting, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundle_helper import storage
from bundle_helper.check import readiness
from bundle_helper.status import STATUS_FILE
from tests.helper.conftest import Bundle

BEGUN, GROWN = 5.0, 3600.0


def write_accounts(bundle: Bundle, *, ensured: bool) -> None:
    """Let the service say whether it has made the accounts, which needs Synapse."""
    file = bundle.settings.state_directory / STATUS_FILE
    storage.write_json(file, {"accounts": {"ensured": ensured}})


def wait(
    bundle: Bundle, age: float, then: Callable[[], None] = lambda: None
) -> tuple[float, list[str]]:
    """Return for how long a check waited, and what it said; `then` happens in the first pause."""
    slept: list[float] = []
    told: list[str] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            then()

    readiness.wait_for_start(bundle.settings, told.append, age, sleep)
    return sum(slept), told


def test_a_bundle_is_not_waited_for(bundle: Bundle) -> None:
    """Where all answer, a young bundle is checked at once and nothing is said."""
    write_accounts(bundle, ensured=True)
    assert wait(bundle, BEGUN) == (0, [])


def test_a_young_bundle_is_waited_for_until_it_is_ready(bundle: Bundle) -> None:
    """As long as Synapse has not answered the helper, a check waits, and says so once."""
    write_accounts(bundle, ensured=False)
    slept, told = wait(bundle, BEGUN, lambda: write_accounts(bundle, ensured=True))
    assert 0 < slept < 2
    assert len(told) == 1
    assert "just started" in told[0]


def test_a_closed_front_door_is_waited_for_in_youth_alone(bundle: Bundle) -> None:
    """An Apache that does not come is given up when the bundle had time enough."""
    write_accounts(bundle, ensured=True)
    bundle.environ["APACHE_ADDRESS"] = "127.0.0.1:1"
    slept, told = wait(bundle, BEGUN)
    assert BEGUN + slept >= 120
    assert len(told) == 1
    assert wait(bundle, GROWN) == (0, [])


def test_workers_are_waited_for(bundle: Bundle) -> None:
    """They start only when the main process is healthy, so they are the last."""
    write_accounts(bundle, ensured=True)
    listening = bundle.environ["APACHE_ADDRESS"]
    bundle.environ["SYNAPSE_WORKERS"] = f"{listening} 127.0.0.1:1"
    slept, told = wait(bundle, BEGUN)
    assert BEGUN + slept >= 120
    assert len(told) == 1
    bundle.environ["SYNAPSE_WORKERS"] = f"{listening} {listening}"
    assert wait(bundle, BEGUN) == (0, [])


def test_the_age_is_that_of_the_first_process() -> None:
    """The first process has run for a while, and not for longer than the machine."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < readiness.measure_age() <= uptime + 1

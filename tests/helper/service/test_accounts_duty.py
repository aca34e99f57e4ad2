"""What the process that makes the first accounts does and leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bundle_helper.errors import HelperError
from bundle_helper.service import accounts_duty

if TYPE_CHECKING:
    from bundle_helper.settings.service_settings import ServiceSettings


def read(settings: ServiceSettings, duty: str) -> Any:
    return json.loads((settings.state_directory / f"{duty}.json").read_text())


def make_accounts(settings: ServiceSettings, failures: int) -> tuple[list[float], list[Any]]:
    """Make accounts that come after some failures; return the pauses, and what was left at each."""
    pauses: list[float] = []
    left: list[Any] = []

    def ensure(_: ServiceSettings) -> tuple[str, ...]:
        if len(pauses) < failures:
            raise HelperError("Synapse sleeps")
        return ()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        left.append(read(settings, "accounts"))

    accounts_duty.make_accounts(settings, ensure, sleep)
    return pauses, left


def test_while_synapse_starts_it_asks_every_second(settings: ServiceSettings) -> None:
    """No one waits for a helper that sleeps; the reason is left meanwhile."""
    pauses, left = make_accounts(settings, failures=3)
    assert pauses == [1, 1, 1]
    assert left == [{"ensured": False, "problem": "Synapse sleeps"}] * 3
    assert read(settings, "accounts") == {"ensured": True, "problem": None}


def test_a_synapse_that_never_comes_is_asked_ever_less_often(settings: ServiceSettings) -> None:
    """After a minute of failed attempts the pauses grow up to a minute."""
    pauses, _ = make_accounts(settings, failures=70)
    assert pauses[:60] == [1] * 60
    assert pauses[60:67] == [2, 4, 8, 16, 32, 60, 60]

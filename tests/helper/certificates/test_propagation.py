"""A record is watched by its value on the zone's own servers, within bounds."""

from __future__ import annotations

import pytest

from bundle_helper.certificates import propagation
from bundle_helper.certificates.propagation import Patience, PropagationError
from tests.helper.nameserver import NameServer

RECORD = "_acme-challenge.matrix.example.test"
ZONE = {
    ("example.test", "SOA"): ["ns.example.test. dns.cloudflare.com. 1 1 1 1 1"],
    ("example.test", "NS"): ["ns.example.test."],
    ("ns.example.test", "A"): ["127.0.0.1"],
}


class ManualClock:
    """A clock that moves only while the code sleeps; `events` happen at their second."""

    def __init__(self, events: dict[float, object]) -> None:
        self.now = 0.0
        self._events = events

    def sleep(self, seconds: float) -> None:
        """Let the time pass, and happen what happens."""
        self.now += seconds
        for at in [at for at in self._events if at <= self.now]:
            event = self._events.pop(at)
            assert callable(event)
            event()


def watch(
    monkeypatch: pytest.MonkeyPatch,
    server: NameServer,
    events: dict[float, object],
    port: int | None = None,
) -> tuple[float, list[str]]:
    """Watch for the value `right`; return the seconds waited, and what was logged."""
    monkeypatch.setattr(propagation, "_PORT", port or server.port)
    monkeypatch.setattr(propagation, "_TIMEOUT_SECONDS", 0.2)
    clock, told = ManualClock(events), list[str]()
    given = propagation.Clock(monotonic=lambda: clock.now, sleep=clock.sleep)
    propagation.wait_for_records(
        {RECORD: "right"}, server.resolver(), Patience(), given, told.append
    )
    return clock.now, told


def test_it_returns_after_the_floor_when_the_record_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A record that is seen at once still gets its seconds for distant servers."""
    with NameServer({**ZONE, (RECORD, "TXT"): ['"other"', '"ri" "ght"']}) as server:
        assert watch(monkeypatch, server, {})[0] == Patience().floor


def test_another_value_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is left over from an earlier attempt does not count as the new one."""
    with NameServer({**ZONE, (RECORD, "TXT"): ['"old"']}) as server:

        def publish() -> None:
            server.table[RECORD, "TXT"] = ['"right"']

        waited, told = watch(monkeypatch, server, {40.0: publish})
    assert 40 <= waited < 45
    assert f"{RECORD} is not yet at 127.0.0.1" in told[0]


def test_it_gives_up_at_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that never comes costs minutes, and no failed validation."""
    with NameServer(ZONE) as server, pytest.raises(PropagationError, match="after 30"):
        watch(monkeypatch, server, {})


def test_where_nothing_can_be_seen_it_sleeps_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port 53 is reported, and the record gets its usual time."""
    with NameServer(ZONE) as server, NameServer({}) as closed:
        closed.close()
        waited, told = watch(monkeypatch, server, {}, port=closed.port)
    assert waited >= Patience().blind
    assert "no name server answers on port 53, so this waits 60 s without checking" in told


def test_a_zone_that_is_not_found_is_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the zone's servers there is nothing to watch."""
    with NameServer({}) as server:
        waited, told = watch(monkeypatch, server, {})
    assert waited == Patience().blind
    assert "cannot be found" in told[0]

"""Who is waited for: each server that answers, and none that does not; on Synapse's own answers."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from bundle_helper.retirement import closure, delivery

if TYPE_CHECKING:
    from bundle_helper.accounts.users import AccountSession
    from bundle_helper.settings.service_settings import ServiceSettings

_DESTINATIONS = "/_synapse/admin/v1/federation/destinations"


@dataclass
class Queues:
    """Synapse's admin API of destinations, and how many rounds each one takes until it has everything."""

    rounds: dict[str, int]
    asked: int = 0
    woken: list[str] = field(default_factory=list)

    def collect(self, path: str, key: str) -> list[dict[str, Any]]:
        """Return a list, as every page of it together."""
        if key == "rooms":
            return [
                {"room_id": "!a", "stream_ordering": 9},
                {"room_id": "!b", "stream_ordering": 7},
            ]
        assert (path, key) == (_DESTINATIONS, "destinations")
        self.asked += 1
        return [
            {
                "destination": name,
                "last_successful_stream_ordering": 9 if self.asked > left else None,
            }
            for name, left in self.rounds.items()
        ]

    def ask(self, method: str, path: str, _: dict[str, Any]) -> None:
        """Wake a destination up."""
        assert method == "POST"
        assert path.endswith("/reset_connection")
        self.woken.append(path.split("/")[-2])


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (closure, delivery):
        monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
        monkeypatch.setattr(module, "_STILL_SECONDS", 0.2)


def wait(queues: Queues) -> set[str]:
    """Wait for these queues, and return who is missing."""
    return delivery._await_queues(cast("AccountSession", queues))


def test_a_server_that_answers_late_is_waited_for() -> None:
    """It is woken up until it has the newest event of every room."""
    queues = Queues(rounds={"fast.test": 0, "slow.test": 3})
    assert wait(queues) == set()
    assert queues.woken == ["slow.test"] * 3


def test_nothing_owed_is_believed_when_it_stays_so() -> None:
    """Events come into the queues a moment after they were made."""

    class Late(Queues):
        def collect(self, path: str, key: str) -> list[dict[str, Any]]:
            if key == "rooms":
                return super().collect(path, key)
            self.asked += 1
            owed = self.asked in {3, 4}
            return [{"destination": "a.test", "last_successful_stream_ordering": 5 if owed else 9}]

    queues = Late(rounds={})
    assert wait(queues) == set()
    assert queues.woken == ["a.test"] * 2


def test_a_server_that_is_gone_is_named_and_not_waited_for() -> None:
    """It has a while after the last one that answered."""
    queues = Queues(rounds={"gone.test": 10**9, "slow.test": 2})
    assert wait(queues) == {"gone.test"}


def test_it_says_how_many_know(monkeypatch: pytest.MonkeyPatch, settings: ServiceSettings) -> None:
    """Those that were reached are counted, the others named."""
    queues = Queues(rounds={"gone.test": 10**9, "slow.test": 2})
    monkeypatch.setattr(delivery, "temporary_administrator", lambda _: nullcontext(queues))
    said: list[str] = []
    delivery.await_delivery(settings, said.append)
    assert said == [
        "1 of 2 other servers know that everyone has left",
        "no answer from gone.test: they will find out that this server is gone",
    ]


def test_a_room_that_synapse_cannot_leave_is_named() -> None:
    """Everything else goes on."""

    class Rooms:
        left = 5

        def call(self, method: str, path: str) -> dict[str, Any]:
            assert (method, path.rpartition("/")[2]) == ("GET", "joined_rooms")
            if "ben" in path:
                return {"total": 2}
            self.left = max(0, self.left - 1)
            return {"total": self.left}

    said: list[str] = []
    people = ["@anna:a.test", "@ben:a.test"]
    closure._await_departure(cast("AccountSession", Rooms()), people, said.append)
    assert said == [
        "Synapse could not leave every room: @ben:a.test (2). See `docker compose logs synapse`"
    ]

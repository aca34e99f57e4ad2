"""What goes on beside a test ends with it, also where it never began."""

from __future__ import annotations

import json
from http.client import HTTPMessage
from typing import Any

import pytest

from tests.stack.background_traffic import BackgroundTraffic
from tests.stack.message_sender import Sender
from tests.support.http import Answer


class Unanswered(BackgroundTraffic):
    """Sends to a server that acknowledges nothing."""

    def wait_for_more(self) -> None:
        raise AssertionError("nothing is acknowledged")

    def _work(self) -> None:
        self._ended.wait()


def test_traffic_that_nobody_answers_ends() -> None:
    """A thread that went on would keep the whole run of tests from ending."""
    traffic = Unanswered()
    with pytest.raises(AssertionError, match="nothing is acknowledged"), traffic:
        pytest.fail("the block was entered")
    assert traffic._thread
    assert not traffic._thread.is_alive()


def test_a_sender_sends_from_the_beginning_to_the_end_of_its_block() -> None:
    """Its first messages are acknowledged when the block begins, and none is sent after it."""
    asked: list[str] = []

    def answer(_method: str, path: str, **_: Any) -> Answer:
        asked.append(path)
        return Answer(
            status=200, headers=HTTPMessage(), body=json.dumps({"event_id": path}).encode()
        )

    person: Any = type("Person", (), {"token": "t"})
    with Sender(person=person, room="!room", door=answer) as sender:
        assert len(sender.acknowledged) >= 5
    assert sender._thread
    assert not sender._thread.is_alive()
    assert len(asked) == len(sender.acknowledged)

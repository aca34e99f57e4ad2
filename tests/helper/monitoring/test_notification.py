"""Messages to a person when a certificate is about to become a problem, really sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bundle_helper.monitoring import notification

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINE = "matrix.example.org: its certificate ends at 2026-12-01 00:00 UTC; not renewed: no token"


class Postbox(HTTPServer):
    """A webhook on the loopback that keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Letters)
        self.received: list[dict[str, str]] = []


class Letters(BaseHTTPRequestHandler):
    """Takes one JSON document per request."""

    server: Postbox

    def do_POST(self) -> None:
        """Keep the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    """Run a webhook as long as it is used."""
    with Postbox() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(notification.__file__).parents[2]))


def test_word_arrives(tmp_path: Path, postbox: Postbox) -> None:
    """The line reaches the webhook that the operator named, whole."""
    file = tmp_path / "notification_urls"
    file.write_text(f"json://127.0.0.1:{postbox.server_port}/hook\n")
    told: list[str] = []
    assert notification.send(file, LINE, told.append)
    assert told == ["notification: sent"]
    assert [letter["message"] for letter in postbox.received] == [LINE]


def test_notification_that_does_not_arrive_is_reported_without_its_address(tmp_path: Path) -> None:
    """A failure is a sentence in the log; the address, which may hold a password, is not in it."""
    file = tmp_path / "notification_urls"
    file.write_text("json://user:pass-word@127.0.0.1:9/hook\n")
    told: list[str] = []
    assert not notification.send(file, LINE, told.append)
    assert told == ["notification: not sent to any address; the next attempt is soon"]


def test_notification_that_some_receive_is_sent(tmp_path: Path, postbox: Postbox) -> None:
    """An address that never works does not repeat the message to the others; the log says so."""
    file = tmp_path / "notification_urls"
    file.write_text(f"json://127.0.0.1:9/hook\njson://127.0.0.1:{postbox.server_port}/hook\n")
    told: list[str] = []
    assert notification.send(file, LINE, told.append)
    assert told == ["notification: not sent to every address"]
    assert [letter["message"] for letter in postbox.received] == [LINE]


def test_a_message_waits_and_is_sent_once_a_day() -> None:
    """No one is woken by one failure, and no one twice a day for the same."""
    day, hour = timedelta(days=1), timedelta(hours=1)
    assert not notification._has_lasted(NOW, NOW + day - hour, day)
    assert notification._has_lasted(NOW, NOW + day, day)
    assert not notification._has_lasted(None, NOW, day)
    assert notification._is_recent(NOW + day, NOW + 2 * day - hour)
    assert not notification._is_recent(NOW + day, NOW + 2 * day)
    assert not notification._is_recent(None, NOW)
    assert not notification._is_recent(NOW + day, NOW)

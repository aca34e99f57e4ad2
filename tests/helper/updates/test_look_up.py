"""The look-up: one plain request a day, and nothing that comes back breaks what is known."""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle_helper import exchange
from bundle_helper.errors import HelperError
from bundle_helper.updates.list_source import UnreachableError, fetch_list
from bundle_helper.updates.look_up import look_up, recall
from bundle_helper.updates.release_list import LARGEST
from tests.helper.updates.conftest import PATH, Publisher, Shelf, sign, write_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle_helper.settings.release_settings import ReleaseSettings

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_list_is_looked_up_once_a_day(releases: ReleaseSettings, publisher: Publisher) -> None:
    """However often the helper starts; what is known meanwhile is the last list."""
    for hours in range(22):
        assert look_up(releases, NOW + hours * HOUR).releases is not None
    assert publisher.requests == 1
    for hours in range(22, 27):
        look_up(releases, NOW + hours * HOUR)
    assert publisher.requests == 2


def test_the_hour_wanders(releases: ReleaseSettings) -> None:
    """The next look-up is a picked time after this one, so that no server has an hour of its own."""
    asked = []
    for shift in (22.0, 25.5):
        releases.directory.joinpath("subscription.json").unlink(missing_ok=True)

        def pick(low: float, high: float, chosen: float = shift) -> float:
            assert (low, high) == (22.0, 26.0)
            return chosen

        asked.append(look_up(releases, NOW, pick).due)
    assert asked == [NOW + 22 * HOUR, NOW + 25.5 * HOUR]


def test_a_clock_that_was_wrong_stops_nothing(
    releases: ReleaseSettings, publisher: Publisher
) -> None:
    """A look-up in the future does not postpone the next one until then."""
    look_up(releases, NOW + 4000 * DAY)
    look_up(releases, NOW)
    look_up(releases, NOW + HOUR)
    assert publisher.requests == 2


def test_no_more_than_20_kb_are_read(
    releases: ReleaseSettings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of a list that is as long as it may be, nor of one that never ends."""
    read, whole = 0, socket.SocketIO.readinto

    def count(self: socket.SocketIO, buffer: Any) -> int | None:
        nonlocal read
        length = whole(self, buffer)
        # The publisher's side of the connection is in this process too.
        read += length or 0 if self.name == client[-1] else 0
        return length

    connect, client = exchange.connect, [-1]

    def note(*arguments: Any) -> socket.socket:
        connected: socket.socket = connect(*arguments)
        client.append(connected.fileno())
        return connected

    monkeypatch.setattr(exchange, "connect", note)
    monkeypatch.setattr(socket.SocketIO, "readinto", count)
    publisher.answer = send_for_ever
    assert "more than" in str(look_up(releases, NOW).trouble)
    assert LARGEST < read <= 20_000


def send_for_ever(shelf: Shelf) -> None:
    """Send a body without a length or an end."""
    shelf.send_response(200)
    shelf.end_headers()
    while True:
        shelf.wfile.write(b"A" * 1024)


def redirect(shelf: Shelf) -> None:
    shelf.send_response(302)
    shelf.send_header("Location", f"http://127.0.0.1:{shelf.server.port}/elsewhere")
    shelf.end_headers()


def refuse(shelf: Shelf) -> None:
    shelf.send_error(404)


def hang_up(shelf: Shelf) -> None:
    shelf.connection.shutdown(socket.SHUT_RDWR)


def break_off(shelf: Shelf) -> None:
    shelf.send_response(200)
    shelf.send_header("Content-Length", "2000")
    shelf.end_headers()
    shelf.wfile.write(shelf.server.content[:200])
    shelf.connection.shutdown(socket.SHUT_RDWR)


def speak_nonsense(shelf: Shelf) -> None:
    shelf.wfile.write(b"220 mail.example.org ESMTP\r\n")


def show_a_portal(shelf: Shelf) -> None:
    """Answer as the network of a hotel does."""
    shelf.send_response(200)
    shelf.end_headers()
    shelf.wfile.write(b"<html>Please accept our terms.</html>\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (redirect, "answers with 302, a redirect, which is not followed"),
        (refuse, "answers with 404"),
        (hang_up, "no answer"),
        (break_off, "no answer"),
        (speak_nonsense, "no answer"),
        (show_a_portal, "its first line is not a signature"),
        (send_for_ever, f"more than {LARGEST} bytes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_list_leaves_the_last_one(
    releases: ReleaseSettings,
    publisher: Publisher,
    answer: Callable[[Shelf], None],
    words: str,
) -> None:
    """It is a sentence, since when is remembered, and the next good list ends it."""
    known = look_up(releases, NOW)
    publisher.answer = answer
    first = look_up(releases, NOW + 2 * DAY)
    later = look_up(releases, NOW + 4 * DAY)
    assert (first.releases, later.releases) == (known.releases, known.releases)
    assert words in str(first.trouble)
    assert (later.trouble, later.troubled_since) == (first.trouble, NOW + 2 * DAY)
    assert recall(releases) == later
    publisher.answer = None
    healed = look_up(releases, NOW + 6 * DAY)
    assert (healed.trouble, healed.troubled_since) == (None, None)
    # A redirect that was followed would have asked for another path.
    assert publisher.requests == 4


def test_who_is_offline_asks_again_the_same_day(
    releases: ReleaseSettings, publisher: Publisher
) -> None:
    """But not more than four times."""
    publisher.answer = hang_up
    for hours in range(24):
        look_up(releases, NOW + hours * HOUR)
    assert publisher.requests == 4


def test_a_drop_a_second_is_given_up(publisher: Publisher) -> None:
    """A body that comes byte by byte never times out by itself."""

    def drip(shelf: Shelf) -> None:
        shelf.send_response(200)
        shelf.end_headers()
        while True:
            shelf.wfile.write(b"A")
            time.sleep(0.05)

    publisher.answer = drip
    with pytest.raises(UnreachableError, match="no whole answer within 1 s"):
        fetch_list(f"http://127.0.0.1:{publisher.port}{PATH}", patience=1.0)


def test_an_address_where_nothing_listens_is_trouble(releases: ReleaseSettings) -> None:
    """Also the first time, when there is no list yet."""
    found = look_up(replace(releases, source="http://127.0.0.1:9/releases.signed"), NOW)
    assert found.releases is None
    assert found.trouble == "no answer (Connection refused)"


def test_certificates_are_verified(
    releases: ReleaseSettings,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With https another server cannot even answer."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    publisher.tls = context
    chosen = replace(releases, source=f"https://127.0.0.1:{publisher.port}{PATH}")
    assert "certificate" in str(look_up(chosen, NOW).trouble)
    authority.cert_pem.write_to_path(str(tmp_path / "root.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    assert look_up(chosen, NOW + DAY).releases is not None


@pytest.mark.parametrize("by_file", [True, False])
def test_a_forged_list_is_refused(
    releases: ReleaseSettings, from_file: ReleaseSettings, publisher: Publisher, *, by_file: bool
) -> None:
    """Signed by another, it does not replace what is known, whatever its serial number."""
    chosen = from_file if by_file else releases
    known = look_up(chosen, NOW).releases
    publish(from_file, publisher, sign(Ed25519PrivateKey.generate(), write_content(9)))
    found = look_up(chosen, NOW + 2 * DAY)
    assert (found.releases, found.releases is None) == (known, False)
    assert found.trouble == "the list is forged or damaged: no key that is trusted signed it"


@pytest.mark.parametrize("by_file", [True, False])
def test_a_replayed_list_is_refused(
    releases: ReleaseSettings,
    from_file: ReleaseSettings,
    publisher: Publisher,
    key: Ed25519PrivateKey,
    *,
    by_file: bool,
) -> None:
    """An older one hides what is new; two of one number show each reader its own."""
    chosen = from_file if by_file else releases
    publish(from_file, publisher, sign(key, write_content(5)))
    known = look_up(chosen, NOW).releases
    for content, words in (
        (write_content(4), "an older one again: list 4"),
        (write_content(5, expires="2099-01-01"), "two different lists 5"),
    ):
        publish(from_file, publisher, sign(key, content))
        found = look_up(chosen, recall(chosen).asked or NOW + 2 * DAY)
        found = look_up(chosen, (found.asked or NOW) + 2 * DAY)
        assert found.releases == known
        assert words in str(found.trouble)
    publish(from_file, publisher, sign(key, write_content(6)))
    found = look_up(chosen, NOW + 20 * DAY)
    assert (found.trouble, found.releases and found.releases.serial) == (None, 6)


def publish(from_file: ReleaseSettings, publisher: Publisher, content: bytes) -> None:
    """Publish a list both ways."""
    assert isinstance(from_file.source, Path)
    publisher.content = content
    from_file.source.write_bytes(content)


def test_a_file_needs_no_request(from_file: ReleaseSettings, publisher: Publisher) -> None:
    """It is read at each round, and what is wrong with it is said."""
    assert look_up(from_file, NOW).releases is not None
    assert isinstance(from_file.source, Path)
    from_file.source.unlink()
    gone = look_up(from_file, NOW)
    assert gone.releases is not None
    assert gone.trouble == f"{from_file.source} cannot be read (No such file or directory)"
    from_file.source.write_bytes(b"A" * 10**6)
    assert "more than" in str(look_up(from_file, NOW).trouble)
    assert publisher.requests == 0


def test_a_key_of_one_s_own_starts_anew(
    releases: ReleaseSettings, publisher: Publisher, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    """What another key signed is no longer known, and its serial numbers mean nothing."""
    publisher.content = sign(key, write_content(50))
    look_up(releases, NOW)
    own = Ed25519PrivateKey.generate()
    pem = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "own.pem").write_bytes(pem)
    chosen = replace(releases, keys_file=tmp_path / "own.pem")
    assert recall(chosen).releases is None
    publisher.content = sign(own, write_content(1))
    found = look_up(chosen, NOW + HOUR)
    assert found.releases is not None
    assert found.releases.serial == 1


def test_another_address_is_asked_at_once(releases: ReleaseSettings, publisher: Publisher) -> None:
    """A corrected address does not wait for tomorrow; the last list stays known."""
    wrong = replace(releases, source="http://127.0.0.1:9/")
    look_up(releases, NOW)
    assert look_up(wrong, NOW + HOUR).releases is not None
    found = look_up(releases, NOW + 2 * HOUR)
    assert (publisher.requests, found.trouble) == (2, None)


def test_what_cannot_be_remembered_is_not_asked(
    releases: ReleaseSettings, publisher: Publisher
) -> None:
    """A full volume must not become a request at every round."""
    broken = replace(releases, directory=releases.directory / "gone")
    with pytest.raises(HelperError, match="cannot be written"):
        look_up(broken, NOW)
    assert publisher.requests == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"source": 1}', "\x00", '{"signed": null}'])
def test_a_damaged_memory_is_none(
    releases: ReleaseSettings, publisher: Publisher, text: str
) -> None:
    """The list is looked up again."""
    (releases.directory / "subscription.json").write_text(text)
    assert look_up(releases, NOW).releases is not None
    assert publisher.requests == 1


def test_a_list_in_the_memory_counts_only_with_its_signature(
    releases: ReleaseSettings, publisher: Publisher
) -> None:
    """Whoever writes into the volume does not decide what the server believes."""
    look_up(releases, NOW)
    file = releases.directory / "subscription.json"
    content = json.loads(file.read_text())
    content["signed"] = content["signed"].replace("1.163.2", "1.100.0")
    file.write_text(json.dumps(content))
    assert recall(releases).releases is None


def test_a_key_file_without_a_key_is_named(releases: ReleaseSettings, tmp_path: Path) -> None:
    """The sentence says what to put there."""
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(HelperError, match="openssl pkey -pubout"):
        look_up(replace(releases, keys_file=tmp_path / "empty.pem"), NOW)

"""The proof of a full drill: everything is tried, and each fault is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key

from bundle_helper.accounts.registration import check_password
from bundle_helper.drill.expectation import Expectation
from bundle_helper.drill.media_sample import Media
from bundle_helper.drill.restored_server import prove
from bundle_helper.errors import HelperError
from bundle_helper.settings.drill_settings import DrillSettings
from bundle_helper.settings.environment import Secret
from tests.helper.drill.live_homeserver import LiveHomeserver

Drill = tuple[DrillSettings, LiveHomeserver]


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    """A restored server with two files, one of an older Synapse, which notes no hash."""
    key = generate_signing_key("a_TEST")
    with LiveHomeserver(key, "") as homeserver:
        settings = DrillSettings(
            server_name="example.org",
            homeserver="matrix.example.org",
            synapse_url=f"http://127.0.0.1:{homeserver.port}",
            registration_shared_secret=Secret("shared"),
            verify_key=f"ed25519:a_TEST {encode_verify_key_base64(get_verify_key(key))}",
            drill_file=tmp_path / "drill.json",
        )
        homeserver.password = check_password(settings).reveal()
        homeserver.media = {"one": b"a file", "old": b"an old file"}
        hashed = hashlib.sha256(b"a file").hexdigest()
        media = (Media("one", 6, hashed), Media("old", 11, None))
        Expectation(set="20261127-0330-1a2b", media=media).write(settings.drill_file)
        yield settings, homeserver


def test_a_good_server(drill: Drill) -> None:
    """Every step is said, and the set at the end."""
    said: list[str] = []
    prove(drill[0], said.append)
    assert said == [
        "it serves the signing key of the folder, ed25519:a_TEST",
        "signed in as @synapse-bundle-check:example.org",
        "sent an event, and read it back",
        "uploaded a file, and downloaded it",
        "downloaded 2 of its files, which are as they were uploaded",
        "the set 20261127-0330-1a2b is a working server",
    ]


def test_a_set_without_files(drill: Drill) -> None:
    """It is said that there was nothing to compare."""
    Expectation(set="20261127-0330-1a2b", media=()).write(drill[0].drill_file)
    said: list[str] = []
    prove(drill[0], said.append)
    assert "the set names no file to compare" in said


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda server: server.faults.add("other key"), "it has another signing key"),
        (lambda server: setattr(server, "password", "x"), "cannot sign in"),
        (lambda server: server.faults.add("no rooms"), "createRoom with 404"),
        (lambda server: server.faults.add("other event"), "an event was sent, and another one"),
        (lambda server: server.faults.add("short upload"), "a file was uploaded"),
        (lambda server: server.media.pop("old"), "the file old is not there: 404"),
        (lambda server: server.media.update(one=b"A FILE"), "the file one has another content"),
        (lambda server: server.media.update(old=b"short"), "the file old has 5 bytes, not 11"),
    ],
)
def test_a_fault_is_named(
    drill: Drill, break_it: Callable[[LiveHomeserver], object], sentence: str
) -> None:
    """Each thing that does not work makes the drill red, with its own sentence."""
    settings, homeserver = drill
    break_it(homeserver)
    with pytest.raises(HelperError) as caught:
        prove(settings, lambda _: None)
    assert sentence in caught.value.message


def test_a_silent_server(drill: Drill) -> None:
    """A server that listens nowhere is named with its address."""
    silent = replace(drill[0], synapse_url="http://127.0.0.1:1")
    with pytest.raises(HelperError, match=r"synapse at 127\.0\.0\.1:1 did not answer"):
        prove(silent, lambda _: None)


def test_nothing_was_restored(drill: Drill) -> None:
    """Without the restore's file there is nothing to compare with, and it is said what comes first."""
    drill[0].drill_file.unlink()
    with pytest.raises(HelperError, match="restore a set first"):
        prove(drill[0], lambda _: None)

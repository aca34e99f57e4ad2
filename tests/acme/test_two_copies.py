"""Two live copies of one server: whole bundles, and a zone in which they claim one name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acme.acme_bundles import generate_bundle, hasten_probes
from tests.acme.claimed_bundles import DATA, ClaimedBundle
from tests.acme.internet import TOKEN, Internet
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine
# Then the service `backup` runs, which shuts the database of a copy that gave way.
SCHEDULED = 'backup: {at: "03:30", drill: none}\n'


@pytest.fixture(scope="module")
def first(
    running_internet: Internet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClaimedBundle]:
    """A server that holds its claim; what it asked for is no violation of the fakes' rules."""
    running_internet.reset()
    folder = tmp_path_factory.mktemp("first")
    stack = generate_bundle(folder, "first", running_internet, tunnel=True, more=SCHEDULED)
    # Not cloudflared's: how soon it ends is part of what is proved.
    hasten_probes(stack, "helper")
    bundle = ClaimedBundle(stack=stack, internet=running_internet)
    try:
        stack.up()
        yield bundle
        assert running_internet.read_state()["violations"] == []
        assert TOKEN not in stack.compose("logs", "--no-color").stdout
    finally:
        stack.down()


def test_the_first_start_claims_the_name(first: ClaimedBundle) -> None:
    """One record, its tunnel is open, and Apache names the data."""
    first.hold()
    state = first.find_state()
    assert first.find_records() == [
        f"v=1 epoch=1 holder={state['instance']} session={state['session']}"
    ]
    answer = first.stack.ask_through_tunnel("GET", "/_matrix/client/versions")
    assert answer.headers["x-synapse-bundle-instance"] == state["instance"]
    done = first.stack.ask_helper("claim", "status")
    assert done.returncode == 0
    assert "this copy holds the claim" in done.stdout


def test_without_internet_the_holder_goes_on(first: ClaimedBundle) -> None:
    """Restarted where neither Cloudflare nor DNS answers, it serves; the record stays as it was."""
    before = first.find_records()
    with first.cut_off():
        first.stack.compose("restart", "helper")
        wait_for(lambda: first.find_state()["held"], "it goes on")
        assert "not reached" in first.find_state()["problem"]
        first.hold()
        assert first.find_records() == before


def test_with_a_revoked_token_the_holder_goes_on_and_says_so(first: ClaimedBundle) -> None:
    """Reading needs no token; the state says why it cannot write."""
    first.internet.control(tokens={})
    try:
        first.stack.compose("restart", "helper")
        wait_for(lambda: first.find_state()["held"], "it goes on")
        assert "refuses the DNS token" in first.find_state()["problem"]
        first.hold()
    finally:
        first.internet.control(tokens={TOKEN: ["example.test"]})


def test_a_clone_takes_over_and_the_first_stands_down(first: ClaimedBundle, tmp_path: Path) -> None:
    """A machine cloned with its volumes: the newest start wins, the other closes within a minute."""
    clone = first.copy(tmp_path, "clone")
    try:
        clone.up()
        clone.hold()
        first.look_again()
        first.stand_down()
        wait_for(lambda: first.stack.health("helper") == "unhealthy", "its helper says so")
        assert len(first.find_records()) == 1
        log = first.stack.compose("logs", "cloudflared").stdout
        assert "withdrawn or exchanged" in log
        wait_for(lambda: not first.is_open(), "its database is shut")
        # A start of the bundle leaves it so.
        first.up()
        assert (
            "so Synapse's database is shut here" in first.stack.compose("logs", "bootstrap").stdout
        )
        assert not first.is_open()
        done = first.stack.ask_helper("claim", "take", "example.test")
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for(first.is_open, "its database is open again")
        first.hold()
        clone.look_again()
        clone.stand_down()
    finally:
        clone.stack.down()


def test_a_restored_copy_takes_over_by_itself(first: ClaimedBundle, tmp_path: Path) -> None:
    """Its first start waits while it cannot claim the name, then takes it; the old server gives way."""
    restored = first.copy(tmp_path, "restored", DATA)
    try:
        restored.restore(epoch=2)
        first.internet.control(cloudflare=[{"status": 503}])
        restored.up()
        wait_for(lambda: bool(restored.find_state().get("problem")), "it waits")
        state = restored.find_state()
        assert not state["held"]
        assert "claim take example.test --offline" in state["problem"]
        assert not restored.serves()
        first.internet.control(cloudflare=[])
        restored.hold()
        (record,) = restored.find_records()
        assert record.startswith(f"v=1 epoch=2 holder={restored.find_state()['instance']} ")
        first.look_again()
        first.stand_down()
        assert "claim to the name" in first.stack.check().stdout
    finally:
        first.internet.control(cloudflare=[])
        restored.stack.down()

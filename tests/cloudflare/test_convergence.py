"""Whatever cuts an apply or a destroy off, at any request or write, the next one completes it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

import pytest

from synapse_bundle.errors import BundleError
from tests.cloudflare.desks import DEATHS, FAILURES, Desk, open_desk
from tests.cloudflare.fake import Killed
from tests.cloudflare.world import Json

MOMENTS = ("before", "after")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A desk before and after an apply, and how much an apply and a destroy ask and write."""

    fresh: Desk
    applied: Desk
    before: Json
    requests: int
    writes: int
    undoing: int
    forgetting: int


def furnish(desk: Desk) -> None:
    """Let there be something of somebody else's in every place, and beside it."""
    world, zone, account = desk.world, desk.zone, desk.account
    world.add_record(zone, "A", "matrix.example.org", "192.0.2.1", proxied=True, ttl=1)
    world.add_record(zone, "AAAA", "matrix.example.org", "2001:db8::1", comment="old server")
    world.add_record(zone, "A", "example.org", "192.0.2.2")
    world.add_record(zone, "A", "example.org", "192.0.2.3", ttl=120)
    world.add_record(zone, "TXT", "matrix.example.org", "v=spf1 -all")
    world.add_script(account, "my-well-known")
    world.add_route(zone, "example.org/.well-known/matrix/*", "my-well-known")
    world.add_route(zone, "www.example.org/*", "my-well-known")
    world.add_tunnel(account, "nas", connections=2)
    world.add_rule(zone, "mine")
    zone.normalization["scope"] = "both"


@pytest.fixture(scope="module", params=["empty", "furnished"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """An account that is new, or one where everything is in the way."""
    desk = open_desk()
    if request.param == "furnished":
        furnish(desk)
    before, fresh = desk.world.snapshot(), copy.deepcopy(desk)
    desk.apply()
    asked, written = len(desk.fake.log), desk.writes
    applied = copy.deepcopy(desk)
    desk.destroy()
    assert desk.world.snapshot() == before
    assert desk.fake.violations == []
    return Scene(
        fresh=fresh,
        applied=applied,
        before=before,
        requests=asked,
        writes=written,
        undoing=len(desk.fake.log) - asked,
        forgetting=desk.writes - written,
    )


def blur(desk: Desk) -> str:
    """Return the world without what differs from one apply to the next."""
    state = desk.state
    assert state
    text = repr(desk.world.snapshot()).replace(state.id, "ID")
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|'secret': '[^']*'", "?", text)


def assert_settled(desk: Desk, before: Json, case: object) -> None:
    """Fail where the next apply does not complete, or a destroy does not restore, everything."""
    desk.heal()
    desk.apply()
    assert desk.list_pending() == [], case
    desk.destroy()
    assert desk.world.snapshot() == before, case
    assert desk.fake.violations == [], case


@pytest.mark.parametrize("fault", DEATHS)
def test_an_apply_killed_at_any_request_is_completed(scene: Scene, fault: str) -> None:
    """Killed at each request in turn: the next apply has nothing left to do after it.

    And after a destroy everything is as it was before the first.
    """
    for number in range(scene.requests):
        desk = copy.deepcopy(scene.fresh)
        desk.strike({number: fault})
        with pytest.raises(Killed):
            desk.apply()
        assert_settled(desk, scene.before, (fault, number, desk.fake.log[number]))


@pytest.mark.parametrize("fault", FAILURES)
def test_an_apply_outlives_any_single_failure(scene: Scene, fault: str) -> None:
    """A failure at each request in turn costs no second run, and makes nothing twice."""
    for number in range(scene.requests):
        desk = copy.deepcopy(scene.fresh)
        desk.strike({number: fault})
        desk.apply()
        case = (fault, desk.fake.log[number])
        assert desk.list_pending() == [], case
        assert blur(desk) == blur(scene.applied), case
        desk.destroy()
        assert desk.world.snapshot() == scene.before, case


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_apply_killed_at_any_write_is_completed(scene: Scene, moment: str) -> None:
    """The same for the disk: killed before or after each write of the state or the secrets."""
    for number in range(scene.writes):
        desk = copy.deepcopy(scene.fresh)
        desk.strike({}, {number: moment})
        with pytest.raises(Killed):
            desk.apply()
        assert_settled(desk, scene.before, (moment, number))


@pytest.mark.parametrize("fault", DEATHS)
def test_a_destroy_killed_at_any_request_is_completed(scene: Scene, fault: str) -> None:
    """Killed at each request of a destroy in turn, the next one restores everything."""
    for number in range(scene.undoing):
        desk = copy.deepcopy(scene.applied)
        desk.strike({number: fault})
        with pytest.raises(Killed):
            desk.destroy()
        desk.heal()
        desk.destroy()
        assert desk.world.snapshot() == scene.before, (fault, number)
        assert desk.fake.violations == []
        assert desk.state is None


@pytest.mark.parametrize("fault", FAILURES)
def test_a_destroy_outlives_any_single_failure(scene: Scene, fault: str) -> None:
    """A failure at each request of a destroy in turn costs no second run."""
    for number in range(scene.undoing):
        desk = copy.deepcopy(scene.applied)
        desk.strike({number: fault})
        desk.destroy()
        assert desk.world.snapshot() == scene.before, (fault, number)
        assert desk.fake.violations == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_destroy_killed_at_any_write_is_completed(scene: Scene, moment: str) -> None:
    """The same for the disk."""
    for number in range(scene.forgetting):
        desk = copy.deepcopy(scene.applied)
        desk.strike({}, {number: moment})
        with pytest.raises(Killed):
            desk.destroy()
        desk.heal()
        desk.destroy()
        assert desk.world.snapshot() == scene.before, (moment, number)


def test_a_half_done_apply_can_be_destroyed(scene: Scene) -> None:
    """What an apply that was killed anywhere has made goes away by a destroy alone."""
    for number in range(scene.requests):
        for fault in ("kill before", "kill after"):
            desk = copy.deepcopy(scene.fresh)
            desk.strike({number: fault})
            with pytest.raises(Killed):
                desk.apply()
            desk.heal()
            desk.destroy()
            assert desk.world.snapshot() == scene.before, (fault, desk.fake.log[number])


def test_a_second_apply_only_reads(scene: Scene) -> None:
    """Nothing is written twice: no request but reads, and deletions of what cannot exist."""
    desk = copy.deepcopy(scene.applied)
    asked, world = len(desk.fake.log), desk.world.snapshot()
    desk.apply()
    changing = [line for line in desk.fake.log[asked:] if not line.startswith("GET ")]
    assert all("0000000000" in line or line.endswith("nobody") for line in changing), changing
    assert desk.world.snapshot() == world


def test_a_refused_apply_leaves_a_message_and_not_a_traceback() -> None:
    """When Cloudflare stays away, the operator is told to run the command again."""
    desk = open_desk()
    desk.strike(dict.fromkeys(range(2, 500), "500 before"))
    with pytest.raises(BundleError, match="run the command again"):
        desk.apply()

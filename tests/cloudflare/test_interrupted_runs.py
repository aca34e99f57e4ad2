"""An apply or a destroy that is interrupted, at any request or write, is completed by the next."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

import pytest

from synapse_bundle.errors import BundleError
from tests.cloudflare.simulation import DEATHS, FAILURES, Simulation, simulate
from tests.support.fake_cloudflare.api import Killed
from tests.support.fake_cloudflare.store import Json

MOMENTS = ("before", "after")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A simulation before and after an apply, and how much an apply and a destroy ask and write."""

    fresh: Simulation
    applied: Simulation
    before: Json
    requests: int
    writes: int
    destroying: int
    forgetting: int


def furnish(simulation: Simulation) -> None:
    """Put something foreign in every place, and beside it."""
    store, zone, account = simulation.store, simulation.zone, simulation.account
    store.add_record(zone, "A", "matrix.example.org", "192.0.2.1", proxied=True, ttl=1)
    store.add_record(zone, "AAAA", "matrix.example.org", "2001:db8::1", comment="old server")
    store.add_record(zone, "A", "example.org", "192.0.2.2")
    store.add_record(zone, "A", "example.org", "192.0.2.3", ttl=120)
    store.add_record(zone, "TXT", "matrix.example.org", "v=spf1 -all")
    store.add_script(account, "my-well-known")
    store.add_route(zone, "example.org/.well-known/matrix/*", "my-well-known")
    store.add_route(zone, "www.example.org/*", "my-well-known")
    store.add_tunnel(account, "nas", connections=2)
    store.add_rule(zone, "mine")
    zone.normalization["scope"] = "both"


@pytest.fixture(scope="module", params=["empty", "furnished"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """An account that is new, or one where every place is taken."""
    simulation = simulate()
    if request.param == "furnished":
        furnish(simulation)
    before, fresh = simulation.store.snapshot(), copy.deepcopy(simulation)
    simulation.apply()
    asked, written = len(simulation.fake.log), simulation.writes
    applied = copy.deepcopy(simulation)
    simulation.destroy()
    assert simulation.store.snapshot() == before
    assert simulation.fake.violations == []
    return Scene(
        fresh=fresh,
        applied=applied,
        before=before,
        requests=asked,
        writes=written,
        destroying=len(simulation.fake.log) - asked,
        forgetting=simulation.writes - written,
    )


def blur(simulation: Simulation) -> str:
    """Return the store without what differs from one apply to the next."""
    state = simulation.state
    assert state
    text = repr(simulation.store.snapshot()).replace(state.id, "ID")
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|'secret': '[^']*'", "?", text)


def assert_settled(simulation: Simulation, before: Json, case: object) -> None:
    """Fail where the next apply does not complete, or a destroy does not restore, everything."""
    simulation.heal()
    simulation.apply()
    assert simulation.list_pending() == [], case
    simulation.destroy()
    assert simulation.store.snapshot() == before, case
    assert simulation.fake.violations == [], case


@pytest.mark.parametrize("fault", DEATHS)
def test_an_apply_killed_at_any_request_is_completed(scene: Scene, fault: str) -> None:
    """Killed at each request in turn: the next apply has nothing left to do after it.

    And after a destroy everything is as it was before the first.
    """
    for number in range(scene.requests):
        simulation = copy.deepcopy(scene.fresh)
        simulation.strike({number: fault})
        with pytest.raises(Killed):
            simulation.apply()
        assert_settled(simulation, scene.before, (fault, number, simulation.fake.log[number]))


@pytest.mark.parametrize("fault", FAILURES)
def test_an_apply_outlives_any_single_failure(scene: Scene, fault: str) -> None:
    """A failure at each request in turn costs no second run, and makes nothing twice."""
    for number in range(scene.requests):
        simulation = copy.deepcopy(scene.fresh)
        simulation.strike({number: fault})
        simulation.apply()
        case = (fault, simulation.fake.log[number])
        assert simulation.list_pending() == [], case
        assert blur(simulation) == blur(scene.applied), case
        simulation.destroy()
        assert simulation.store.snapshot() == scene.before, case


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_apply_killed_at_any_write_is_completed(scene: Scene, moment: str) -> None:
    """The same for the disk: killed before or after each write of the state or the secrets."""
    for number in range(scene.writes):
        simulation = copy.deepcopy(scene.fresh)
        simulation.strike({}, {number: moment})
        with pytest.raises(Killed):
            simulation.apply()
        assert_settled(simulation, scene.before, (moment, number))


@pytest.mark.parametrize("fault", DEATHS)
def test_a_destroy_killed_at_any_request_is_completed(scene: Scene, fault: str) -> None:
    """Killed at each request of a destroy in turn, the next one restores everything."""
    for number in range(scene.destroying):
        simulation = copy.deepcopy(scene.applied)
        simulation.strike({number: fault})
        with pytest.raises(Killed):
            simulation.destroy()
        simulation.heal()
        simulation.destroy()
        assert simulation.store.snapshot() == scene.before, (fault, number)
        assert simulation.fake.violations == []
        assert simulation.state is None


@pytest.mark.parametrize("fault", FAILURES)
def test_a_destroy_outlives_any_single_failure(scene: Scene, fault: str) -> None:
    """A failure at each request of a destroy in turn costs no second run."""
    for number in range(scene.destroying):
        simulation = copy.deepcopy(scene.applied)
        simulation.strike({number: fault})
        simulation.destroy()
        assert simulation.store.snapshot() == scene.before, (fault, number)
        assert simulation.fake.violations == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_destroy_killed_at_any_write_is_completed(scene: Scene, moment: str) -> None:
    """The same for the disk."""
    for number in range(scene.forgetting):
        simulation = copy.deepcopy(scene.applied)
        simulation.strike({}, {number: moment})
        with pytest.raises(Killed):
            simulation.destroy()
        simulation.heal()
        simulation.destroy()
        assert simulation.store.snapshot() == scene.before, (moment, number)


def test_a_half_done_apply_can_be_destroyed(scene: Scene) -> None:
    """A destroy alone removes what an apply that was killed anywhere has created."""
    for number in range(scene.requests):
        for fault in ("kill before", "kill after"):
            simulation = copy.deepcopy(scene.fresh)
            simulation.strike({number: fault})
            with pytest.raises(Killed):
                simulation.apply()
            simulation.heal()
            simulation.destroy()
            assert simulation.store.snapshot() == scene.before, (fault, simulation.fake.log[number])


def test_a_second_apply_only_reads(scene: Scene) -> None:
    """Nothing is written twice: no request but reads, and deletions of what cannot exist."""
    simulation = copy.deepcopy(scene.applied)
    asked, store = len(simulation.fake.log), simulation.store.snapshot()
    simulation.apply()
    changing = [line for line in simulation.fake.log[asked:] if not line.startswith("GET ")]
    assert all("0000000000" in line or line.endswith("does-not-exist") for line in changing), (
        changing
    )
    assert simulation.store.snapshot() == store


def test_a_refused_apply_leaves_a_message_and_not_a_traceback() -> None:
    """If Cloudflare stays unreachable, the message says to run the command again."""
    simulation = simulate()
    simulation.strike(dict.fromkeys(range(2, 500), "500 before"))
    with pytest.raises(BundleError, match="run the command again"):
        simulation.apply()

"""The claim record of a running server: shown by a plan, and removed with the homeserver's name."""

from __future__ import annotations

from typing import Any

import pytest

from bundle_helper.claim.claim_record import ClaimRecord, name_record
from synapse_bundle.cloudflare.dns_records import name_claim
from tests.cloudflare.simulation import DESIRED, Simulation, rename, simulate

CLAIM = str(ClaimRecord(1, "1" * 32, "a" * 64))


@pytest.fixture
def simulation() -> Simulation:
    """A simulation in which everything is set up."""
    simulation = simulate()
    simulation.apply()
    return simulation


def claim(simulation: Simulation, homeserver: str = DESIRED.homeserver) -> dict[str, Any]:
    """Write a claim as the helper does."""
    name = name_claim(homeserver)
    return simulation.store.add_record(simulation.zone, "TXT", name, CLAIM, ttl=60)


def list_texts(simulation: Simulation) -> list[str]:
    """Return the names of the TXT records in the zone."""
    return [r["name"] for r in simulation.zone.records.values() if r["type"] == "TXT"]


def test_both_packages_name_the_record_alike() -> None:
    """What the helper writes is what the command removes."""
    assert name_claim("matrix.example.org") == name_record("matrix.example.org")


def test_a_claim_is_shown_and_left_alone(simulation: Simulation) -> None:
    """It is the helper's to write: nothing to do, before and after an apply."""
    resources = [change.resource for change in simulation.plan()]
    assert "claim" not in resources
    claim(simulation)
    (shown,) = [change for change in simulation.plan() if change.resource == "claim"]
    assert "written by the helper" in shown.text
    assert simulation.list_pending() == []
    simulation.apply()
    assert list_texts(simulation) == [name_claim(DESIRED.homeserver)]


def test_a_destroy_removes_it_and_no_other_text(simulation: Simulation) -> None:
    """Whichever copy wrote it: the name leads nowhere any more."""
    claim(simulation)
    claim(simulation, "other.example.org")
    simulation.destroy()
    assert list_texts(simulation) == [name_claim("other.example.org")]


def test_a_name_that_is_given_up_takes_its_claim_along(simulation: Simulation) -> None:
    """Another homeserver's name has a claim of its own."""
    claim(simulation)
    rename(simulation, "chat.example.org")
    simulation.apply()
    assert list_texts(simulation) == []

"""A zone that was deleted takes its records, routes and settings with it; a destroy goes on."""

from __future__ import annotations

from tests.cloudflare.simulation import Simulation, simulate


def delete_zone(simulation: Simulation) -> None:
    """Apply everything, then delete the zone."""
    simulation.apply()
    simulation.store.delete_zone(simulation.zone)


def assert_destroyed(simulation: Simulation) -> None:
    """Fail where a destroy leaves something."""
    assert simulation.destroy()
    assert simulation.state is None
    assert all(tunnel["deleted_at"] for tunnel in simulation.account.tunnels.values())
    assert simulation.account.scripts == {}
    assert list(simulation.store.grants.values()) == [simulation.grant]
    assert simulation.fake.violations == []


def test_what_was_created_in_a_deleted_zone_counts_as_removed() -> None:
    """The tunnel, the Worker and the token are deleted all the same."""
    simulation = simulate()
    delete_zone(simulation)
    assert_destroyed(simulation)


def test_what_was_replaced_in_a_deleted_zone_is_not_restored() -> None:
    """Neither records, nor a proxied apex, nor a route, nor settings."""
    simulation = simulate()
    store, zone = simulation.store, simulation.zone
    zone.normalization["scope"] = "both"
    store.add_record(zone, "A", "matrix.example.org", "192.0.2.1")
    store.add_record(zone, "A", "example.org", "192.0.2.2")
    store.add_route(zone, "example.org/.well-known/matrix/*", None)
    store.add_rule(zone, "mine")
    delete_zone(simulation)
    assert_destroyed(simulation)

"""What the operator should know: what stops an apply, and what it cannot see to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare.approval import Approval
from tests.cloudflare.simulation import Simulation, rename, simulate


@pytest.fixture
def simulation() -> Simulation:
    """A simulation at a new account."""
    return simulate()


def list_notes(simulation: Simulation) -> str:
    """Return what an operator should know."""
    return "\n".join([*simulation.list_obstacles(), *simulation.list_notes()])


def test_a_zone_that_is_not_active_yet_is_named(simulation: Simulation) -> None:
    """With the name servers to enter at the registrar."""
    simulation.zone.status = "pending"
    assert "example.org is pending: nothing is reached until the name servers" in list_notes(
        simulation
    )
    assert "ada.ns.cloudflare.com and bob.ns.cloudflare.com" in list_notes(simulation)
    simulation.apply()
    assert simulation.list_pending() == []


def test_a_name_without_a_certificate_is_named(simulation: Simulation) -> None:
    """Cloudflare's own covers one label below the zone."""
    assert "certificate" not in list_notes(simulation)
    rename(simulation, "matrix.chat.example.org")
    assert "free certificate does not cover matrix.chat.example.org" in list_notes(simulation)


def test_a_zone_whose_dns_is_elsewhere_is_an_obstacle(simulation: Simulation) -> None:
    """A tunnel is led to by Cloudflare's own DNS only."""
    simulation.zone.type = "partial"
    assert "example.org is a partial zone" in list_notes(simulation)


def test_a_delegated_name_and_a_locked_record_are_obstacles(simulation: Simulation) -> None:
    """They cannot be replaced from here."""
    simulation.store.add_record(simulation.zone, "NS", "matrix.example.org", "ns.example.net")
    assert "the name is delegated elsewhere" in list_notes(simulation)
    locked = {"read_only": True}
    simulation.store.add_record(simulation.zone, "TXT", "matrix.example.org", "spf", meta=locked)
    assert "belongs to another Cloudflare product" not in list_notes(simulation)
    simulation.store.add_record(simulation.zone, "AAAA", "matrix.example.org", "100::", meta=locked)
    assert "belongs to another Cloudflare product" in list_notes(simulation)


def test_locked_records_at_the_server_name_stop_nothing(simulation: Simulation) -> None:
    """Such as those of Email Routing, or a Worker that has the name as its custom domain."""
    locked = {"read_only": True}
    simulation.store.add_record(simulation.zone, "MX", "example.org", "mx.example.net", meta=locked)
    simulation.store.add_record(
        simulation.zone, "AAAA", "example.org", "100::", proxied=True, meta=locked
    )
    before = simulation.store.snapshot()
    assert "belongs to another" not in list_notes(simulation)
    simulation.apply(Approval())
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_a_locked_record_is_not_made_proxied(simulation: Simulation) -> None:
    """There is nothing to approve, and no Worker."""
    locked = {"read_only": True}
    record = simulation.store.add_record(
        simulation.zone, "A", "example.org", "192.0.2.2", meta=locked
    )
    simulation.apply()
    assert simulation.zone.records[record["id"]]["proxied"] is False
    assert simulation.account.scripts == {}


def test_rules_that_keep_media_are_named(simulation: Simulation) -> None:
    """If they can be read: what overrides the origin overrides Apache's no-store."""
    overriding = {"edge_ttl": {"mode": "override_origin"}}
    simulation.zone.cache_rules = [
        {"id": "1", "description": "all", "enabled": True, "action_parameters": overriding},
        {"id": "2", "description": "off", "enabled": False, "action_parameters": overriding},
        {"id": "3", "description": "fine", "enabled": True, "action_parameters": {"cache": True}},
    ]
    everything = [{"id": "cache_level", "value": "cache_everything"}]
    simulation.zone.page_rules = [
        {"targets": [{"constraint": {"value": pattern}}], "actions": actions}
        for pattern, actions in (
            ("*example.org/*", everything),
            ("https://matrix.example.org/_matrix/*", everything),
            ("www.example.org/*", everything),
            ("matrix.example.org/*", []),
        )
    ]
    assert "cache" not in list_notes(simulation)
    simulation.grant.allowed |= {
        (f"{p} Read", simulation.zone.id) for p in ("Cache Settings", "Page Rules")
    }
    reported = [line for line in list_notes(simulation).splitlines() if "may cache media" in line]
    assert [line.partition(" may cache")[0] for line in reported] == [
        "the cache rule 'all'",
        "the page rule *example.org/*",
        "the page rule https://matrix.example.org/_matrix/*",
    ]


def test_a_plan_with_other_bot_settings_is_reported(simulation: Simulation) -> None:
    """Without Bot Fight Mode there may be something similar."""
    del simulation.zone.bots["fight_mode"]
    assert "Bot Fight Mode of example.org has different settings on this plan" in list_notes(
        simulation
    )
    simulation.apply()


def test_a_route_that_wins_is_named(simulation: Simulation) -> None:
    """A more specific foreign route answers instead of ours."""
    simulation.store.add_script(simulation.account, "other")
    simulation.store.add_route(simulation.zone, "example.org/.well-known/matrix/server", "other")
    assert "example.org/.well-known/matrix/server -> Worker other is more specific" in list_notes(
        simulation
    )


def test_uploads_beyond_the_plan_are_named(simulation: Simulation) -> None:
    """Cloudflare answers them with a page that no Matrix app understands."""
    simulation.desired = replace(simulation.desired, max_upload_size=150 * 1000**2)
    assert "more than the 100 MB" in list_notes(simulation)
    simulation.zone.plan = "business"
    assert "more than" not in list_notes(simulation)


def test_a_tunnel_that_was_migrated_is_named(simulation: Simulation) -> None:
    """What the dashboard says would count, and not the bundle."""
    simulation.apply()
    next(iter(simulation.account.tunnels.values()))["config_src"] = "cloudflare"
    assert "The tunnel was migrated in the dashboard" in list_notes(simulation)


def test_a_tunnel_in_use_is_cut_off_at_last() -> None:
    """It is waited for with a word on what to stop; an unused one is not forced."""
    simulation = simulate()
    simulation.apply()
    (tunnel,) = simulation.account.tunnels.values()
    tunnel["connections"] = [{"id": "a"}]
    simulation.store.clinging = 3
    simulation.destroy()
    assert tunnel["deleted_at"]
    assert simulation.waited == 15
    assert any("docker compose stop cloudflared" in line for line in simulation.reports)
    simulation.apply()
    (tunnel,) = (t for t in simulation.account.tunnels.values() if not t["deleted_at"])
    tunnel["connections"], simulation.store.clinging = [{"id": "a"}], 99
    simulation.destroy()
    assert tunnel["deleted_at"]

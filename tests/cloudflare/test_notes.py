"""What the operator should know: what stops an apply, and what it cannot see to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare import advice
from synapse_bundle.cloudflare.consent import Consent
from tests.cloudflare.desks import Desk, open_desk, rename


@pytest.fixture
def desk() -> Desk:
    """A desk at a new account."""
    return open_desk()


def list_notes(desk: Desk) -> str:
    """Return what an operator should know."""
    client, access = desk.open()
    state = desk.read_state()
    found = desk.look(client, access, state)
    pending = desk.plan()
    return "\n".join(
        [
            *advice.list_obstacles(desk.wanted, found, pending),
            *advice.list_notes(desk.wanted, found, state),
        ]
    )


def test_a_zone_that_is_not_active_yet_is_named(desk: Desk) -> None:
    """With the name servers to enter at the registrar."""
    desk.zone.status = "pending"
    assert "example.org is pending: nothing is reached until the name servers" in list_notes(desk)
    assert "ada.ns.cloudflare.com and bob.ns.cloudflare.com" in list_notes(desk)
    desk.apply()
    assert desk.list_pending() == []


def test_a_name_without_a_certificate_is_named(desk: Desk) -> None:
    """Cloudflare's own covers one label below the zone."""
    assert "certificate" not in list_notes(desk)
    rename(desk, "matrix.chat.example.org")
    assert "free certificate does not cover matrix.chat.example.org" in list_notes(desk)


def test_a_zone_whose_dns_is_elsewhere_is_an_obstacle(desk: Desk) -> None:
    """A tunnel is led to by Cloudflare's own DNS only."""
    desk.zone.type = "partial"
    assert "example.org is a partial zone" in list_notes(desk)


def test_a_delegated_name_and_a_locked_record_are_obstacles(desk: Desk) -> None:
    """They cannot be replaced from here."""
    desk.world.add_record(desk.zone, "NS", "matrix.example.org", "ns.example.net")
    assert "the name is delegated elsewhere" in list_notes(desk)
    locked = {"read_only": True}
    desk.world.add_record(desk.zone, "TXT", "matrix.example.org", "spf", meta=locked)
    assert "belongs to another Cloudflare product" not in list_notes(desk)
    desk.world.add_record(desk.zone, "AAAA", "matrix.example.org", "100::", meta=locked)
    assert "belongs to another Cloudflare product" in list_notes(desk)


def test_locked_records_at_the_server_name_are_in_nobodys_way(desk: Desk) -> None:
    """Such as those of Email Routing, or a Worker that has the name as its custom domain."""
    locked = {"read_only": True}
    desk.world.add_record(desk.zone, "MX", "example.org", "mx.example.net", meta=locked)
    desk.world.add_record(desk.zone, "AAAA", "example.org", "100::", proxied=True, meta=locked)
    before = desk.world.snapshot()
    assert "belongs to another" not in list_notes(desk)
    desk.apply(Consent())
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.world.snapshot() == before


def test_a_locked_record_is_not_made_proxied(desk: Desk) -> None:
    """There is nothing to say yes to, and no Worker."""
    locked = {"read_only": True}
    record = desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2", meta=locked)
    desk.apply()
    assert desk.zone.records[record["id"]]["proxied"] is False
    assert desk.account.scripts == {}


def test_rules_that_keep_media_are_named(desk: Desk) -> None:
    """If they can be read: what overrides the origin overrides Apache's no-store."""
    overriding = {"edge_ttl": {"mode": "override_origin"}}
    desk.zone.cache_rules = [
        {"id": "1", "description": "all", "enabled": True, "action_parameters": overriding},
        {"id": "2", "description": "off", "enabled": False, "action_parameters": overriding},
        {"id": "3", "description": "fine", "enabled": True, "action_parameters": {"cache": True}},
    ]
    everything = [{"id": "cache_level", "value": "cache_everything"}]
    desk.zone.page_rules = [
        {"targets": [{"constraint": {"value": pattern}}], "actions": actions}
        for pattern, actions in (
            ("*example.org/*", everything),
            ("https://matrix.example.org/_matrix/*", everything),
            ("www.example.org/*", everything),
            ("matrix.example.org/*", []),
        )
    ]
    assert "cache" not in list_notes(desk)
    desk.grant.allowed |= {(f"{p} Read", desk.zone.id) for p in ("Cache Settings", "Page Rules")}
    told = [line for line in list_notes(desk).splitlines() if "may keep media" in line]
    assert [line.partition(" may keep")[0] for line in told] == [
        "the cache rule 'all'",
        "the page rule *example.org/*",
        "the page rule https://matrix.example.org/_matrix/*",
    ]


def test_a_plan_with_other_bot_settings_is_told(desk: Desk) -> None:
    """Where there is no Bot Fight Mode there may be something like it."""
    del desk.zone.bots["fight_mode"]
    assert "Bot Fight Mode of example.org has other settings in this plan" in list_notes(desk)
    desk.apply()


def test_a_route_that_wins_is_named(desk: Desk) -> None:
    """A more exact route of somebody else's answers instead of ours."""
    desk.world.add_script(desk.account, "other")
    desk.world.add_route(desk.zone, "example.org/.well-known/matrix/server", "other")
    assert "example.org/.well-known/matrix/server -> Worker other is more exact" in list_notes(desk)


def test_uploads_beyond_the_plan_are_named(desk: Desk) -> None:
    """Cloudflare answers them with a page that no Matrix app understands."""
    desk.wanted = replace(desk.wanted, max_upload_size=150 * 1000**2)
    assert "more than the 100 MB" in list_notes(desk)
    desk.zone.plan = "business"
    assert "more than" not in list_notes(desk)


def test_a_tunnel_that_was_migrated_is_named(desk: Desk) -> None:
    """What the dashboard says would count, and not the bundle."""
    desk.apply()
    next(iter(desk.account.tunnels.values()))["config_src"] = "cloudflare"
    assert "The tunnel was migrated in the dashboard" in list_notes(desk)


def test_a_tunnel_in_use_is_cut_off_at_last() -> None:
    """It is waited for with a word on what to stop; an unused one is not forced."""
    desk = open_desk()
    desk.apply()
    (tunnel,) = desk.account.tunnels.values()
    tunnel["connections"] = [{"id": "a"}]
    desk.world.clinging = 3
    desk.destroy()
    assert tunnel["deleted_at"]
    assert desk.waited == 15
    assert any("docker compose stop cloudflared" in line for line in desk.told)
    desk.apply()
    (tunnel,) = (t for t in desk.account.tunnels.values() if not t["deleted_at"])
    tunnel["connections"], desk.world.clinging = [{"id": "a"}], 99
    desk.destroy()
    assert tunnel["deleted_at"]

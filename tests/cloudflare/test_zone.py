"""Settings of the zone: what they break is told, and nothing is changed without a yes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare import advice
from synapse_bundle.cloudflare.change import Part
from synapse_bundle.cloudflare.consent import FIXES, Consent
from tests.cloudflare.desks import Desk, open_desk, rename
from tests.cloudflare.world import Json


@pytest.fixture
def desk() -> Desk:
    """A desk at a zone with every harmful setting there is."""
    desk = open_desk()
    desk.zone.normalization["scope"] = "both"
    return desk


def read(desk: Desk) -> Json:
    """Return the zone's settings by the fix that changes them."""
    rules = (desk.zone.ruleset or {"rules": []})["rules"]
    return {
        "bot-fight-mode": desk.zone.bots["fight_mode"],
        "url-normalization": desk.zone.normalization["scope"],
        "always-https": desk.zone.settings["always_use_https"],
        "browser-checks": [rule["action_parameters"] for rule in rules],
    }


BROKEN: Json = {
    "bot-fight-mode": True,
    "url-normalization": "both",
    "always-https": "off",
    "browser-checks": [],
}
FIXED: Json = {
    "bot-fight-mode": False,
    "url-normalization": "incoming",
    "always-https": "on",
    "browser-checks": [{"bic": False, "security_level": "essentially_off"}],
}


def test_every_harmful_setting_is_explained(desk: Desk) -> None:
    """Each with a sentence on what it does to Matrix, and what would be done about it."""
    told = {
        change.reading.fix: f"{change.text} {change.reading.text}"
        for change in desk.plan()
        if change.reading and change.verb
    }
    assert set(told) == set(FIXES)
    assert "Bot Fight Mode of example.org challenges every program" in told["bot-fight-mode"]
    assert "rewrites the paths that Matrix servers sign" in told["url-normalization"]
    assert "sends passwords in clear" in told["always-https"]


def test_without_a_yes_no_setting_is_changed(desk: Desk) -> None:
    """An apply does everything else."""
    desk.apply(Consent())
    assert read(desk) == BROKEN


@pytest.mark.parametrize("fix", FIXES)
def test_each_setting_has_a_yes_of_its_own(desk: Desk, fix: str) -> None:
    """One is changed, and a destroy puts it back."""
    desk.apply(Consent(fixing={fix}))
    assert read(desk) == BROKEN | {fix: FIXED[fix]}
    desk.destroy()
    assert read(desk) == BROKEN


def test_settings_that_are_fine_are_not_mentioned(desk: Desk) -> None:
    """Neither explained nor offered."""
    desk.apply(Consent(fixing={"all"}))
    assert read(desk) == FIXED
    assert not [change for change in desk.plan() if change.part is Part.SETTING and change.verb]


def test_a_zone_without_browser_checks_needs_no_rule() -> None:
    """There are no checks to exempt anything from."""
    desk = open_desk()
    desk.zone.settings |= {"browser_check": "off", "security_level": "essentially_off"}
    desk.apply()
    assert desk.zone.ruleset is None


def test_the_rule_stands_behind_those_of_others(desk: Desk) -> None:
    """The last rule that matches wins; the others are as they were."""
    mine = desk.world.add_rule(desk.zone, "mine")
    desk.apply()
    assert desk.zone.ruleset
    first, second = desk.zone.ruleset["rules"]
    assert first == mine
    assert second["expression"] == (
        '(http.host eq "matrix.example.org") or (http.host eq "example.org" and'
        ' starts_with(http.request.uri.path, "/.well-known/matrix/"))'
    )
    desk.destroy()
    assert desk.zone.ruleset["rules"] == [mine]


def test_a_ruleset_without_rules_stays(desk: Desk) -> None:
    """Who had an empty one has it again."""
    desk.zone.ruleset = {"id": "e" * 32, "rules": []}
    desk.apply()
    assert len(desk.zone.ruleset["rules"]) == 1
    desk.destroy()
    assert desk.zone.ruleset == {"id": "e" * 32, "rules": []}


def test_rules_that_were_added_since_stay(desk: Desk) -> None:
    """The list was made for our rule, and others use it by now."""
    desk.apply()
    mine = desk.world.add_rule(desk.zone, "mine")
    desk.destroy()
    assert desk.zone.ruleset
    assert desk.zone.ruleset["rules"] == [mine]


def test_the_rule_follows_the_homeserver_without_another_yes(desk: Desk) -> None:
    """The yes was for the homeserver, whatever it is called."""
    desk.apply(Consent(fixing={"browser-checks"}))
    rename(desk, "chat.example.org")
    desk.apply(Consent())
    assert desk.zone.ruleset
    (rule,) = desk.zone.ruleset["rules"]
    assert '"chat.example.org"' in rule["expression"]
    desk.destroy()
    assert desk.zone.ruleset is None


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

"""Settings of the zone: what they break is explained, and nothing is changed without approval."""

from __future__ import annotations

import pytest

from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.removal import RemovalAction
from tests.cloudflare.simulation import FREE, Simulation, rename, simulate
from tests.support.fake_cloudflare.store import Json


@pytest.fixture
def simulation() -> Simulation:
    """A simulation at a zone with every harmful setting there is."""
    simulation = simulate()
    simulation.zone.normalization["scope"] = "both"
    return simulation


def read(simulation: Simulation) -> Json:
    """Return the zone's settings by the fix that changes them."""
    rules = (simulation.zone.ruleset or {"rules": []})["rules"]
    return {
        "bot-fight-mode": simulation.zone.bots["fight_mode"],
        "url-normalization": simulation.zone.normalization["scope"],
        "always-https": simulation.zone.settings["always_use_https"],
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


def test_every_harmful_setting_is_explained(simulation: Simulation) -> None:
    """Each with a sentence on what it does to Matrix, and what would be done about it."""
    reported = {
        change.fix.name: f"{change.text} {change.fix.harm}"
        for change in simulation.plan()
        if change.fix and change.verb
    }
    assert set(reported) == set(FREE)
    assert "Bot Fight Mode of example.org challenges every program" in reported["bot-fight-mode"]
    assert "rewrites the paths that Matrix servers sign" in reported["url-normalization"]
    assert "sends passwords unencrypted" in reported["always-https"]


def test_without_approval_no_setting_is_changed(simulation: Simulation) -> None:
    """An apply does everything else."""
    simulation.apply(Approval())
    assert read(simulation) == BROKEN


@pytest.mark.parametrize("fix", FREE)
def test_each_setting_requires_its_own_approval(simulation: Simulation, fix: str) -> None:
    """One is changed, and a destroy restores it."""
    simulation.apply(Approval(fixing={fix}))
    assert read(simulation) == BROKEN | {fix: FIXED[fix]}
    simulation.destroy()
    assert read(simulation) == BROKEN


def test_settings_that_are_fine_are_not_mentioned(simulation: Simulation) -> None:
    """Neither explained nor offered."""
    simulation.apply(Approval(fixing={"all"}))
    assert read(simulation) == FIXED
    assert not [
        change for change in simulation.plan() if change.resource == "setting" and change.verb
    ]


def test_a_zone_without_browser_checks_needs_no_rule() -> None:
    """There are no checks to exempt anything from."""
    simulation = simulate()
    simulation.zone.settings |= {"browser_check": "off", "security_level": "essentially_off"}
    simulation.apply()
    assert simulation.zone.ruleset is None


def test_the_rule_is_after_those_of_others(simulation: Simulation) -> None:
    """The last rule that matches wins; the others are as they were."""
    mine = simulation.store.add_rule(simulation.zone, "mine")
    simulation.apply()
    assert simulation.zone.ruleset
    first, second = simulation.zone.ruleset["rules"]
    assert first == mine
    assert second["expression"] == (
        '(http.host eq "matrix.example.org") or (http.host eq "example.org" and'
        ' starts_with(http.request.uri.path, "/.well-known/matrix/"))'
    )
    simulation.destroy()
    assert simulation.zone.ruleset["rules"] == [mine]


def test_a_ruleset_without_rules_stays(simulation: Simulation) -> None:
    """An empty one that was there before stays."""
    simulation.zone.ruleset = {"id": "e" * 32, "rules": []}
    simulation.apply()
    assert len(simulation.zone.ruleset["rules"]) == 1
    simulation.destroy()
    assert simulation.zone.ruleset == {"id": "e" * 32, "rules": []}


def test_rules_that_were_added_since_stay(simulation: Simulation) -> None:
    """The list was made for our rule, and others use it by now."""
    simulation.apply()
    mine = simulation.store.add_rule(simulation.zone, "mine")
    simulation.destroy()
    assert simulation.zone.ruleset
    assert simulation.zone.ruleset["rules"] == [mine]


def test_the_rule_follows_the_homeserver_without_another_approval(simulation: Simulation) -> None:
    """The approval was for the homeserver, whatever its name."""
    simulation.apply(Approval(fixing={"browser-checks"}))
    rename(simulation, "chat.example.org")
    simulation.apply(Approval())
    assert simulation.zone.ruleset
    (rule,) = simulation.zone.ruleset["rules"]
    assert '"chat.example.org"' in rule["expression"]
    simulation.destroy()
    assert simulation.zone.ruleset is None


def test_super_bot_fight_mode_is_seen_and_switched_off() -> None:
    """It has the place of Bot Fight Mode on paid plans, and fields of its own."""
    simulation = simulate(plan="pro")
    before = {"sbfm_definitely_automated": "managed_challenge", "sbfm_verified_bots": "allow"}
    simulation.zone.bots = dict(before)
    (reported,) = (c for c in simulation.plan() if c.fix and "bot" in c.fix.name)
    assert reported.fix
    assert reported.text == "Super Bot Fight Mode of example.org"
    assert "challenges or blocks programs that are not browsers" in reported.fix.harm
    simulation.apply(Approval(fixing={"super-bot-fight-mode"}))
    assert simulation.zone.bots == before | {"sbfm_definitely_automated": "allow"}
    simulation.destroy()
    assert simulation.zone.bots == before


@pytest.mark.parametrize(
    ("refused", "refusal"),
    [
        ("POST rulesets", (400, 20217, "exceeded the maximum number of rules")),
        ("PUT bot_management", (400, 10400, "not available in this plan")),
        ("PATCH settings", (403, 1015, "the setting is locked by your organization")),
    ],
)
def test_a_refused_setting_costs_nothing_but_itself(
    simulation: Simulation, refused: str, refusal: tuple[int, int, str]
) -> None:
    """The bundle gets its secrets, the line has Cloudflare's words, and nothing is remembered."""
    simulation.zone.refusals = {refused: refusal}
    simulation.apply()
    assert set(simulation.secrets) == {"tunnel.json", "dns_token"}
    assert [line for line in simulation.reports if line.startswith("skip") and refusal[2] in line]
    assert simulation.state
    assert len([e for e in simulation.state.entries if e.type in {"setting", "rule"}]) == 3
    simulation.zone.refusals = {}
    simulation.destroy()
    assert read(simulation) == BROKEN


def test_a_rule_that_may_not_be_updated_stays_ours(simulation: Simulation) -> None:
    """A refused update forgets nothing: the destroy deletes the rule."""
    simulation.apply()
    rename(simulation, "chat.example.org")
    simulation.zone.refusals = {"PATCH rulesets": (400, 20217, "no")}
    simulation.apply()
    simulation.zone.refusals = {}
    simulation.destroy()
    assert simulation.zone.ruleset is None


@pytest.mark.parametrize("permission", ["Zone Settings Write", "Bot Management Write"])
@pytest.mark.parametrize("readable", [True, False])
def test_a_setting_that_cannot_be_restored_stops_nothing(
    simulation: Simulation, permission: str, *, readable: bool
) -> None:
    """All else is removed, the reason is reported, and the next destroy completes it."""
    before = simulation.store.snapshot()
    simulation.apply()
    needed = (permission, simulation.zone.id)
    simulation.grant.allowed.remove(needed)
    if readable:
        simulation.grant.allowed.add((permission.replace("Write", "Read"), simulation.zone.id))
    skipped = [
        removal.text for removal in simulation.destroy() if removal.action is RemovalAction.SKIP
    ]
    assert len(skipped) == 1
    assert f"the token lacks Zone → {permission.removesuffix(' Write')}: Edit" in skipped[0]
    assert simulation.zone.records == {}
    assert simulation.state
    assert [entry.type for entry in simulation.state.entries] == ["setting"]
    simulation.grant.allowed.add(needed)
    simulation.destroy()
    assert simulation.state is None
    assert simulation.store.snapshot() == before


def test_a_destroy_asks_for_nothing_that_the_apply_did_without(simulation: Simulation) -> None:
    """A token without Bot Management may restore what it changed."""
    simulation.grant.allowed.remove(("Bot Management Write", simulation.zone.id))
    before = simulation.store.snapshot()
    simulation.apply()
    assert not [removal for removal in simulation.destroy() if removal.action is RemovalAction.SKIP]
    assert simulation.store.snapshot() == before

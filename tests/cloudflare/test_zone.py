"""Settings of the zone: what they break is told, and nothing is changed without a yes."""

from __future__ import annotations

import pytest

from synapse_bundle.cloudflare.change import Part
from synapse_bundle.cloudflare.consent import Consent
from synapse_bundle.cloudflare.state import Kind
from synapse_bundle.cloudflare.undoing import Verb
from tests.cloudflare.desks import FREE, Desk, open_desk, rename
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
    assert set(told) == set(FREE)
    assert "Bot Fight Mode of example.org challenges every program" in told["bot-fight-mode"]
    assert "rewrites the paths that Matrix servers sign" in told["url-normalization"]
    assert "sends passwords in clear" in told["always-https"]


def test_without_a_yes_no_setting_is_changed(desk: Desk) -> None:
    """An apply does everything else."""
    desk.apply(Consent())
    assert read(desk) == BROKEN


@pytest.mark.parametrize("fix", FREE)
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


def test_super_bot_fight_mode_is_seen_and_switched_off() -> None:
    """It has the place of Bot Fight Mode on paid plans, and fields of its own."""
    desk = open_desk(plan="pro")
    before = {"sbfm_definitely_automated": "managed_challenge", "sbfm_verified_bots": "allow"}
    desk.zone.bots = dict(before)
    (told,) = (c for c in desk.plan() if c.reading and "bot" in c.reading.fix)
    assert told.reading
    assert told.text == "Super Bot Fight Mode of example.org"
    assert "challenges or blocks programs that are no browsers" in told.reading.text
    desk.apply(Consent(fixing={"super-bot-fight-mode"}))
    assert desk.zone.bots == before | {"sbfm_definitely_automated": "allow"}
    desk.destroy()
    assert desk.zone.bots == before


@pytest.mark.parametrize(
    ("refused", "refusal"),
    [
        ("POST rulesets", (400, 20217, "exceeded the maximum number of rules")),
        ("PUT bot_management", (400, 10400, "not available in this plan")),
        ("PATCH settings", (403, 1015, "the setting is locked by your organization")),
    ],
)
def test_a_refused_setting_costs_nothing_but_itself(
    desk: Desk, refused: str, refusal: tuple[int, int, str]
) -> None:
    """The bundle gets its secrets, the line has Cloudflare's words, and nothing is remembered."""
    desk.zone.refusals = {refused: refusal}
    desk.apply()
    assert set(desk.secrets) == {"tunnel.json", "dns_token"}
    assert [line for line in desk.told if line.startswith("skip") and refusal[2] in line]
    assert desk.state
    assert len([m for m in desk.state.made if m.kind in {"setting", "rule"}]) == 3
    desk.zone.refusals = {}
    desk.destroy()
    assert read(desk) == BROKEN


def test_a_rule_that_may_not_be_updated_stays_ours(desk: Desk) -> None:
    """A refused update forgets nothing: the destroy takes the rule away."""
    desk.apply()
    rename(desk, "chat.example.org")
    desk.zone.refusals = {"PATCH rulesets": (400, 20217, "no")}
    desk.apply()
    desk.zone.refusals = {}
    desk.destroy()
    assert desk.zone.ruleset is None


@pytest.mark.parametrize("permission", ["Zone Settings Write", "Bot Management Write"])
@pytest.mark.parametrize("readable", [True, False])
def test_a_setting_that_cannot_be_put_back_holds_up_nothing(
    desk: Desk, permission: str, *, readable: bool
) -> None:
    """All else is taken back, the reason is told, and the next destroy completes it."""
    before = desk.world.snapshot()
    desk.apply()
    needed = (permission, desk.zone.id)
    desk.grant.allowed.remove(needed)
    if readable:
        desk.grant.allowed.add((permission.replace("Write", "Read"), desk.zone.id))
    skipped = [undoing.text for undoing in desk.destroy() if undoing.verb is Verb.SKIP]
    assert len(skipped) == 1
    assert f"the token lacks Zone → {permission.removesuffix(' Write')}: Edit" in skipped[0]
    assert desk.zone.records == {}
    assert desk.state
    assert [m.kind for m in desk.state.made] == [Kind.SETTING]
    desk.grant.allowed.add(needed)
    desk.destroy()
    assert desk.state is None
    assert desk.world.snapshot() == before


def test_a_destroy_asks_for_nothing_that_the_apply_did_without(desk: Desk) -> None:
    """A token without Bot Management may put back what it changed."""
    desk.grant.allowed.remove(("Bot Management Write", desk.zone.id))
    before = desk.world.snapshot()
    desk.apply()
    assert not [undoing for undoing in desk.destroy() if undoing.verb is Verb.SKIP]
    assert desk.world.snapshot() == before

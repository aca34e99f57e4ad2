"""Settings of the zone: what they break is told, and nothing is changed without a yes."""

from __future__ import annotations

import pytest

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

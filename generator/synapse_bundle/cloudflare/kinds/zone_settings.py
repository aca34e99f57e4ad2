"""Settings of a zone that break Matrix: read, explained, changed only with a yes, put back.

Sources: Cloudflare's documentation of bot-fight-mode, browser-integrity-check, normalization
settings and configuration rules; reports matrix-construct/tuwunel#447, element-hq/synapse#18332.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .. import permissions
from ..desired import Json, Wanted, Zone
from ..session import Client, CloudflareError
from ..state import Kind

PHASE: Final = "http_config_settings"
ACTION: Final = {"bic": False, "security_level": "essentially_off"}
OFF_LEVELS: Final = frozenset({"off", "essentially_off"})
# Which of them there are depends on the plan.
SUPER_BOTS: Final = ("sbfm_definitely_automated", "sbfm_likely_automated")
SUPER_PLANS: Final = frozenset({"pro", "business"})
BROWSER_CHECKS: Final = "browser-checks"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One setting: how it is read and written, what is wrong with it, and what it should be.

    `correct` returns the setting to write, or None where it is fine as it is.
    """

    title: str
    method: str
    path: str
    keys: tuple[str, ...]
    permission: str
    correct: Callable[[Json], Json | None]
    harm: str
    cure: str


SWITCHES: Final = {
    "bot-fight-mode": Switch(
        title="Bot Fight Mode",
        method="PUT",
        path="bot_management",
        keys=("fight_mode",),
        permission=permissions.BOTS,
        correct=lambda now: {"fight_mode": False} if now["fight_mode"] else None,
        harm="challenges every program that is no browser, so other servers cannot reach this one;"
        " no rule can exempt a host from it",
        cure="switch it off for the whole zone",
    ),
    "super-bot-fight-mode": Switch(
        title="Super Bot Fight Mode",
        method="PUT",
        path="bot_management",
        keys=SUPER_BOTS,
        permission=permissions.BOTS,
        correct=lambda now: dict.fromkeys(now, "allow") if set(now.values()) - {"allow"} else None,
        harm="challenges or blocks programs that are no browsers, so other servers cannot reach"
        " this one",
        cure="allow automated traffic in the whole zone",
    ),
    "url-normalization": Switch(
        title="URL normalization to the origin",
        method="PUT",
        path="url_normalization",
        keys=("scope", "type"),
        permission=permissions.RULES,
        correct=lambda now: {**now, "scope": "incoming"} if now["scope"] == "both" else None,
        harm="rewrites the paths that Matrix servers sign, so their requests are refused",
        cure="normalize for rules alone, as is the default",
    ),
    "always-https": Switch(
        title="HTTP to HTTPS",
        method="PATCH",
        path="settings/always_use_https",
        keys=("value",),
        permission=permissions.SETTINGS,
        correct=lambda now: {"value": "on"} if now["value"] != "on" else None,
        harm="is not enforced: a client that is told http:// sends passwords in clear",
        cure="switch on Always Use HTTPS for the whole zone",
    ),
}
# Only where the homeserver is: the well-known documents of another zone have no encoded paths.
HOME_ONLY: Final = frozenset({"url-normalization"})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a setting is. `after` is what it should be, None where it is fine.

    `ours` is whether it was changed with a yes before, and only has to be brought up to date.
    """

    kind: Kind
    fix: str
    zone: Zone
    title: str
    permission: str
    text: str = ""
    cure: str = ""
    before: Any = None
    after: Any = None
    ours: bool = False

    @property
    def name(self) -> str:
        """The name of the entry in the state file."""
        return f"{self.fix} {self.zone.name}"


def read_switch(client: Client, zone: str, name: str) -> Json:
    """Return a setting as it would have to be written to stay the same."""
    switch = SWITCHES[name]
    document = client.get(f"/zones/{zone}/{switch.path}")
    return {key: document[key] for key in switch.keys if key in document}


def write_switch(client: Client, zone: str, name: str, value: Json) -> None:
    """Change a setting."""
    switch = SWITCHES[name]
    client.send(switch.method, f"/zones/{zone}/{switch.path}", value)


def read_settings(
    client: Client, wanted: Wanted, zone: Zone, mark: str, *, home: bool
) -> Iterator[Reading | str]:
    """Yield every setting of a zone that matters, or a sentence where it may not be read."""
    absent = "bot-fight-mode" if zone.plan in SUPER_PLANS else "super-bot-fight-mode"
    for name, switch in SWITCHES.items():
        if (home or name not in HOME_ONLY) and name != absent:
            try:
                now = read_switch(client, zone.id, name)
                after = switch.correct(now)
            except (CloudflareError, KeyError) as error:
                yield describe_unreadable(switch.title, zone, switch.permission, error)
                continue
            yield Reading(
                kind=Kind.SETTING,
                fix=name,
                zone=zone,
                title=switch.title,
                permission=switch.permission,
                text=switch.harm if after else "",
                cure=switch.cure,
                before=now,
                after=after,
            )
    yield read_checks(client, wanted, zone, mark)


def describe_unreadable(title: str, zone: Zone, permission: str, error: Exception) -> str:
    """Return what is said of a setting that could not be read; raises what is no denial."""
    if not isinstance(error, CloudflareError):
        return f"{title} of {zone.name} has other settings in this plan: let it challenge nobody"
    if not error.refused:
        raise error
    reason = permissions.explain(error, permission)
    return f"{title} of {zone.name} could not be looked at: {reason}"


def write_expression(wanted: Wanted, zone: Zone) -> str:
    """Return the rule expression for what Matrix uses in a zone."""
    parts = []
    if is_inside(wanted.homeserver, zone.name):
        parts.append(f'(http.host eq "{wanted.homeserver}")')
    if wanted.delegates and is_inside(wanted.server_name, zone.name):
        path = 'starts_with(http.request.uri.path, "/.well-known/matrix/")'
        parts.append(f'(http.host eq "{wanted.server_name}" and {path})')
    return " or ".join(parts)


def is_inside(host: str, zone: str) -> bool:
    """Tell whether a host belongs to a zone by its name."""
    return host == zone or host.endswith(f".{zone}")


def write_rule(wanted: Wanted, zone: Zone, mark: str) -> Json:
    """Return the configuration rule that spares Matrix the checks meant for browsers."""
    return {
        "action": "set_config",
        "action_parameters": ACTION,
        "description": f"{mark}: Matrix servers and apps are no browsers",
        "enabled": True,
        "expression": write_expression(wanted, zone),
    }


def find_rules(ruleset: Json | None, mark: str) -> list[Json]:
    """Return the rules of a ruleset that bear a mark."""
    rules = (ruleset or {}).get("rules") or []
    return [rule for rule in rules if str(rule.get("description", "")).startswith(f"{mark}:")]


def read_ruleset(client: Client, zone: str) -> Json | None:
    """Return the zone's configuration rules, or None where it never had any."""
    found: Json | None = client.find(f"/zones/{zone}/rulesets/phases/{PHASE}/entrypoint")
    return found


def read_checks(client: Client, wanted: Wanted, zone: Zone, mark: str) -> Reading | str:
    """Return how the checks meant for browsers stand for Matrix in a zone."""
    title = "Browser Integrity Check and security level"
    try:
        rule = write_rule(wanted, zone, mark)
        ruleset = read_ruleset(client, zone.id)
        found = find_rules(ruleset, mark)
        same = [r for r in found if all(r.get(key) == value for key, value in rule.items())]
        browsers = client.get(f"/zones/{zone.id}/settings/browser_check")["value"]
        level = client.get(f"/zones/{zone.id}/settings/security_level")["value"]
    except CloudflareError as error:
        lacking = f"{permissions.RULES} and {permissions.SETTINGS}"
        return describe_unreadable(title, zone, lacking, error)
    harmless = browsers == "off" and level in OFF_LEVELS and not found
    good = harmless or len(same) == len(found) == 1
    return Reading(
        kind=Kind.RULE,
        fix=BROWSER_CHECKS,
        zone=zone,
        title=title,
        permission=permissions.RULES,
        text="" if good else "refuse or challenge clients without a browser's headers",
        cure=f"add one configuration rule for {write_expression(wanted, zone)}",
        before={"ruleset": ruleset is not None},
        after=None if good else rule,
        ours=bool(found),
    )

"""The configuration rule that exempts Matrix from the checks meant for browsers.

Source: Cloudflare's documentation of browser-integrity-check and configuration rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from .. import fixing, ownership, permissions, removal
from ..apply_run import ApplyRun
from ..changes import Fix, Note, ResourceChange
from ..desired import Desired
from ..found import Found, PlanContext, ReadContext
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..session import Session
from ..state import StateEntry
from ..zone import Zone
from .kind import Kind

BROWSER_CHECKS: Final = "browser-checks"
_RULE: Final = "rule"
_TITLE: Final = "Browser Integrity Check and security level"
_PHASE: Final = "http_config_settings"
_PARAMETERS: Final = {"bic": False, "security_level": "essentially_off"}
_OFF_LEVELS: Final = frozenset({"off", "essentially_off"})

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ChecksReading:
    """The checks of each zone; `notes` are sentences on those that could not be read."""

    fixes: tuple[Fix, ...]
    notes: tuple[str, ...]


class BrowserChecksKind(Kind):
    """One configuration rule in each zone, after those that are there."""

    types = (_RULE,)
    fixes = (BROWSER_CHECKS,)

    def read(self, context: ReadContext, found: Found) -> ChecksReading:
        """Read the checks of both zones, and the rules that exempt from them."""
        results = [_read_fix(context, zone) for zone in found.access.zones]
        return ChecksReading(
            fixes=tuple(each for each in results if isinstance(each, Fix)),
            notes=tuple(each for each in results if isinstance(each, str)),
        )

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the checks of each zone."""
        return (fixing.compare(fix, _write) for fix in context.found.get(ChecksReading).fixes)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield what could not be read."""
        return (Note(text=text) for text in context.found.get(ChecksReading).notes)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Delete the rule, and the ruleset if it was created for the rule."""
        subject = f"configuration rule of {entry.name.split(' ')[1]}"
        try:
            ruleset = _read_ruleset(context.session, entry.parent)
        except CloudflareError as error:
            return fixing.plan_unreadable(entry, subject, permissions.RULES, error)
        if ruleset is None:
            return removal.missing(entry, subject)
        ours = _find_rules(ruleset, ownership.write_tag(context.state))
        path = f"/zones/{entry.parent}/rulesets/{ruleset['id']}"
        if not entry.before["ruleset"] and len(ruleset.get("rules") or []) == len(ours):
            paths = [path]
        else:
            paths = [f"{path}/rules/{rule['id']}" for rule in ours]
        if not paths:
            return removal.missing(entry, subject)
        steps = map(removal.delete_path, paths)
        return removal.delete(entry, subject, *steps, permission=permissions.RULES)

    def require_entry(self, entry: StateEntry) -> None:
        """Raise ValueError or LookupError for a rule that no apply has written."""
        _, _ = entry.name.split(" ")


def _read_fix(context: ReadContext, zone: Zone) -> Fix | str:
    """Return how the checks would be fixed, or a sentence if they may not be read."""
    session, path = context.session, f"/zones/{zone.id}/settings"
    try:
        ruleset = _read_ruleset(session, zone.id)
        browsers = session.get(f"{path}/browser_check")["value"]
        level = session.get(f"{path}/security_level")["value"]
    except CloudflareError as error:
        permission = f"{permissions.RULES} and {permissions.SETTINGS}"
        return fixing.note_unreadable(_TITLE, zone, permission, error)
    tag = ownership.write_tag(context.state)
    rule, ours = _write_rule(context.desired, zone, tag), _find_rules(ruleset, tag)
    current = [r for r in ours if all(r.get(key) == value for key, value in rule.items())]
    harmless = browsers == "off" and level in _OFF_LEVELS and not ours
    fine = harmless or len(current) == len(ours) == 1
    fix = Fix(
        type=_RULE,
        name=BROWSER_CHECKS,
        zone=zone,
        title=_TITLE,
        permission=permissions.RULES,
        harm="" if fine else "refuse or challenge clients without a browser's headers",
        cure=f"add one configuration rule for {rule['expression']}",
        after=None if fine else rule,
        approved=bool(ours),
    )
    # A ruleset that was created for the rule stays ours, whatever happened to the rule.
    entry = context.state.find(_RULE, fix.entry_name)
    return replace(fix, before=entry.before if entry else {"ruleset": ruleset is not None})


def _write_rule(desired: Desired, zone: Zone, tag: str) -> Json:
    return {
        "action": "set_config",
        "action_parameters": _PARAMETERS,
        "description": f"{tag}: Matrix servers and apps are not browsers",
        "enabled": True,
        "expression": _write_expression(desired, zone),
    }


def _write_expression(desired: Desired, zone: Zone) -> str:
    """Return the rule expression for what Matrix uses in a zone."""
    parts = []
    if zone.contains(desired.homeserver):
        parts.append(f'(http.host eq "{desired.homeserver}")')
    if desired.delegates and zone.contains(desired.server_name):
        path = 'starts_with(http.request.uri.path, "/.well-known/matrix/")'
        parts.append(f'(http.host eq "{desired.server_name}" and {path})')
    return " or ".join(parts)


def _find_rules(ruleset: Json | None, tag: str) -> list[Json]:
    """Return the rules of a ruleset that have the bundle's tag."""
    rules = (ruleset or {}).get("rules") or []
    return [rule for rule in rules if str(rule.get("description", "")).startswith(f"{tag}:")]


def _read_ruleset(session: Session, zone: str) -> Json | None:
    """Return the zone's configuration rules, or None if it never had any."""
    found: Json | None = session.find(f"/zones/{zone}/rulesets/phases/{_PHASE}/entrypoint")
    return found


def _write(run: ApplyRun, fix: Fix) -> None:
    """Add the rule after those that are there, or bring it up to date."""
    path = f"/zones/{fix.zone.id}/rulesets"
    ruleset = _read_ruleset(run.session, fix.zone.id)
    ours = _find_rules(ruleset, ownership.write_tag(run.state))
    if ruleset is None:
        body = {"name": "default", "kind": "zone", "phase": _PHASE, "rules": [fix.after]}
        run.session.send("POST", path, body)
    elif not ours:
        run.session.send("POST", f"{path}/{ruleset['id']}/rules", fix.after)
    else:
        first, *others = (f"{path}/{ruleset['id']}/rules/{rule['id']}" for rule in ours)
        run.session.send("PATCH", first, fix.after)
        for other in others:
            run.session.send("DELETE", other)

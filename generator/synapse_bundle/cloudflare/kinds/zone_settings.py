"""Settings of a zone that break Matrix: explained, changed only with an approval, restored.

Sources: Cloudflare's documentation of bot-fight-mode and normalization settings; reports
matrix-construct/tuwunel#447, element-hq/synapse#18332.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .. import fixing, operator_rules, permissions, removal
from ..apply_run import ApplyRun
from ..changes import Fix, Note, ResourceChange
from ..found import Found, PlanContext, ReadContext
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..session import Session
from ..state import StateEntry
from ..zone import Zone
from .kind import Kind

_SETTING: Final = "setting"
_SUPER_PLANS: Final = frozenset({"pro", "business"})
# Which of them there are depends on the plan.
_SUPER_BOTS: Final = ("sbfm_definitely_automated", "sbfm_likely_automated")


@dataclass(frozen=True, kw_only=True)
class ZoneSetting:
    """One setting: how it is read and written, what it breaks, and what it should be.

    `correct` returns what to write, or None if the setting is fine as it is.
    """

    title: str
    method: str
    path: str
    keys: tuple[str, ...]
    permission: str
    correct: Callable[[dict[str, Any]], dict[str, Any] | None]
    harm: str
    cure: str


SETTINGS: Final = {
    "bot-fight-mode": ZoneSetting(
        title="Bot Fight Mode",
        method="PUT",
        path="bot_management",
        keys=("fight_mode",),
        permission=permissions.BOTS,
        correct=lambda now: {"fight_mode": False} if now["fight_mode"] else None,
        harm="challenges every program that is not a browser, so other servers cannot reach this"
        " one; no rule can exempt a host from it",
        cure="switch it off for the whole zone",
    ),
    "super-bot-fight-mode": ZoneSetting(
        title="Super Bot Fight Mode",
        method="PUT",
        path="bot_management",
        keys=_SUPER_BOTS,
        permission=permissions.BOTS,
        correct=lambda now: dict.fromkeys(now, "allow") if set(now.values()) - {"allow"} else None,
        harm="challenges or blocks programs that are not browsers, so other servers cannot reach"
        " this one",
        cure="allow automated traffic in the whole zone",
    ),
    "url-normalization": ZoneSetting(
        title="URL normalization to the origin",
        method="PUT",
        path="url_normalization",
        keys=("scope", "type"),
        permission=permissions.RULES,
        correct=lambda now: {**now, "scope": "incoming"} if now["scope"] == "both" else None,
        harm="rewrites the paths that Matrix servers sign, so their requests are refused",
        cure="normalize for rules only, which is the default",
    ),
    "always-https": ZoneSetting(
        title="HTTP to HTTPS",
        method="PATCH",
        path="settings/always_use_https",
        keys=("value",),
        permission=permissions.SETTINGS,
        correct=lambda now: {"value": "on"} if now["value"] != "on" else None,
        harm="is not enforced: a client that is given http:// sends passwords unencrypted",
        cure="switch on Always Use HTTPS for the whole zone",
    ),
}
# Only where the homeserver is: the well-known documents of another zone have no encoded paths.
_HOME_ONLY: Final = frozenset({"url-normalization"})


@dataclass(frozen=True, kw_only=True)
class SettingsReading:
    """The settings of the zones; `notes` are sentences on what could not be read or may be cached."""

    fixes: tuple[Fix, ...]
    notes: tuple[str, ...]


class ZoneSettingsKind(Kind):
    """The settings in the table above."""

    types = (_SETTING,)
    fixes = tuple(SETTINGS)

    def read(self, context: ReadContext, found: Found) -> SettingsReading:
        """Read the settings of both zones, and rules that may cache media."""
        home = found.access.home
        results = [
            _read_fix(context.session, zone, name)
            for zone in found.access.zones
            for name in _list_settings(zone, home=zone.id == home.id)
        ]
        notes = operator_rules.note_caching(context.session, context.desired, home)
        return SettingsReading(
            fixes=tuple(each for each in results if isinstance(each, Fix)),
            notes=(*(each for each in results if isinstance(each, str)), *notes),
        )

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield every setting."""
        return (fixing.compare(fix, _write) for fix in context.found.get(SettingsReading).fixes)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield what could not be read, and what may be cached."""
        return (Note(text=text) for text in context.found.get(SettingsReading).notes)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Restore the former value, if the setting still has ours."""
        name, zone = entry.name.split(" ")
        setting = SETTINGS[name]
        subject = f"{setting.title} of {zone}"
        if not set(entry.before) <= set(setting.keys):
            return removal.keep(entry, subject)
        try:
            now = _read_value(context.session, entry.parent, setting)
        except CloudflareError as error:
            return fixing.plan_unreadable(entry, subject, setting.permission, error)
        if now != entry.after:
            return removal.keep(entry, subject)
        step = removal.send(setting.method, f"/zones/{entry.parent}/{setting.path}", entry.before)
        detail = f": {_show(entry.before)}"
        return removal.restore(entry, subject, step, detail=detail, permission=setting.permission)

    def require_entry(self, entry: StateEntry) -> None:
        """Raise ValueError for a setting that does not exist."""
        name, _ = entry.name.split(" ")
        if name not in SETTINGS:
            raise ValueError(name)


def _list_settings(zone: Zone, *, home: bool) -> Iterator[str]:
    """Yield the names of the settings that a zone has and that matter there."""
    absent = "bot-fight-mode" if zone.plan in _SUPER_PLANS else "super-bot-fight-mode"
    return (name for name in SETTINGS if name != absent and (home or name not in _HOME_ONLY))


def _read_fix(session: Session, zone: Zone, name: str) -> Fix | str:
    """Return how a setting would be fixed, or a sentence if it may not be read."""
    setting = SETTINGS[name]
    try:
        now = _read_value(session, zone.id, setting)
        after = setting.correct(now)
    except (CloudflareError, KeyError) as error:
        return fixing.note_unreadable(setting.title, zone, setting.permission, error)
    return Fix(
        type=_SETTING,
        name=name,
        zone=zone,
        title=setting.title,
        permission=setting.permission,
        harm=setting.harm if after else "",
        cure=setting.cure,
        before=now,
        after=after,
    )


def _read_value(session: Session, zone: str, setting: ZoneSetting) -> dict[str, Any]:
    """Return a setting as it would have to be written to stay the same."""
    document = session.get(f"/zones/{zone}/{setting.path}")
    return {key: document[key] for key in setting.keys if key in document}


def _write(run: ApplyRun, fix: Fix) -> None:
    setting = SETTINGS[fix.name]
    run.session.send(setting.method, f"/zones/{fix.zone.id}/{setting.path}", fix.after)


def _show(value: dict[str, Any]) -> str:
    """Return a setting's value for a sentence."""
    return ", ".join({True: "on", False: "off"}.get(v, str(v)) for v in value.values())

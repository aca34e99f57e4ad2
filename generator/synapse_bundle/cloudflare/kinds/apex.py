"""The record at the server name: any proxied one makes Cloudflare ask the Worker.

Source: "Routes" of the Workers documentation: a route is asked only for names that are proxied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .. import hostname, ownership, removal
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..desired import Desired
from ..dns_records import PLACEHOLDER, Record
from ..found import Found, PlanContext, ReadContext
from ..hostname import Hostname
from ..permissions import Permission
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..state import CloudflareState, StateEntry
from .dns import RECORD, need_records, note_certificate, put_record
from .kind import Kind

APEX: Final = "apex"
_PLACEHOLDER: Final = "placeholder"
_PROXY: Final = "proxy"


@dataclass(frozen=True, kw_only=True)
class ApexReading:
    """The server name, if it is another host than the homeserver's."""

    apex: Hostname


class ApexKind(Kind):
    """A placeholder at a server name without records, or its own records proxied."""

    types = (_PROXY,)
    replaceable = (APEX,)
    leavable = (APEX,)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Yield what it takes to change records in the zone of an entry."""
        yield need_records(entry.parent)

    def read(self, context: ReadContext, found: Found) -> ApexReading:
        """Read the server name."""
        name = context.desired.server_name
        return ApexReading(apex=hostname.read(context.session, found.access.apex, name))

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the placeholder, or the records or the wildcard that are there."""
        if not context.desired.delegates or not context.found.access.apex:
            return
        apex = context.found.get(ApexReading).apex
        ours, foreign = ownership.split(apex.records, context.state)
        if foreign:
            if ours:
                yield _remove_placeholder(ours[0])
            yield _compare_records(foreign, context.state)
        elif apex.wildcards:
            yield _compare_wildcards(apex, context.state)
        else:
            yield _compare_placeholder(context.desired.server_name, ours)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield what keeps the Worker from being asked at the server name."""
        apex, zone = context.found.get(ApexReading).apex, context.found.access.apex
        if not zone:
            return
        if apex.covered is not True:
            yield note_certificate(apex.name, zone, stops=False)
        for record in apex.delegations:
            text = f"{record}: the name is delegated elsewhere, so the Worker is not asked for it"
            yield Note(text=text)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Make the records DNS only again; a zone that was deleted has none."""
        path, subject = f"/zones/{entry.parent}/dns_records", f"{entry.name} to DNS only"
        if entry.name != context.state.server_name:
            return removal.keep(entry, subject)
        try:
            listed = context.session.list(path, {"name.exact": entry.name})
            proxied = {each["id"] for each in listed if each.get("proxied")}
        except CloudflareError as error:
            if not error.missing:
                raise
            proxied = set()
        patches = [
            {"id": each["id"], "proxied": False, "ttl": each["ttl"]}
            for each in entry.before
            if each["id"] in proxied
        ]
        if not patches:
            return removal.missing(entry, subject)
        step = removal.send("POST", f"{path}/batch", {"patches": patches})
        return removal.restore(entry, subject, step)

    def is_stale(self, _: StateEntry, desired: Desired) -> bool:
        """Return whether the server name is the homeserver's."""
        return not desired.delegates


def can_be_proxied(context: PlanContext) -> bool:
    """Return whether requests for the server name reach Cloudflare, now or after an apply."""
    apex = context.found.get(ApexReading).apex
    _, foreign = ownership.split(apex.records, context.state)
    existing = [*foreign, *apex.wildcards]
    if not existing or any(record.proxied for record in existing):
        return True
    proxiable = bool(apex.wildcards) or any(record.proxiable for record in foreign)
    return proxiable and APEX not in context.state.left


def _remove_placeholder(record: Record) -> ResourceChange:
    return ResourceChange(
        resource=_PLACEHOLDER,
        condition=Condition.CHANGED,
        verb="remove",
        text=f"{record}: {record.name} has a record of its own now",
        apply=_delete_placeholder,
    )


def _compare_records(foreign: list[Record], state: CloudflareState) -> ResourceChange:
    shown = ownership.show_records(foreign, state)
    if any(record.proxied for record in foreign):
        text = f"{shown} (proxied)"
        return ResourceChange(resource=APEX, condition=Condition.PRESENT, text=text)
    if APEX in state.left or not any(record.proxiable for record in foreign):
        text = f"{shown} (DNS only)"
        return ResourceChange(resource=APEX, condition=Condition.LEFT, text=text)
    return ResourceChange(
        resource=APEX,
        condition=Condition.FOREIGN,
        verb="proxy",
        text=f"{shown}, which is DNS only; its visitors will come through Cloudflare, which passes"
        " only web traffic: SSH, IMAP and FTP stop working at this name. If the zone's SSL/TLS mode is"
        " Flexible, a site that redirects to HTTPS loops: set Full (strict) first",
        apply=_proxy,
    )


def _compare_wildcards(apex: Hostname, state: CloudflareState) -> ResourceChange:
    """Return the wildcard that answers for a server name without records."""
    shown = ownership.show_records(apex.wildcards, state)
    if any(record.proxied for record in apex.wildcards):
        text = f"{shown} (proxied)"
        return ResourceChange(resource=APEX, condition=Condition.PRESENT, text=text)
    if APEX in state.left:
        text = f"{shown} (DNS only)"
        return ResourceChange(resource=APEX, condition=Condition.LEFT, text=text)
    return ResourceChange(
        resource=APEX,
        condition=Condition.FOREIGN,
        verb="replace",
        text=f"{shown}, which is DNS only, by AAAA {apex.name} -> {PLACEHOLDER} (proxied) at this"
        f" one name; a site behind the wildcard is no longer reached under {apex.name}",
        apply=_put_placeholder,
    )


def _compare_placeholder(name: str, ours: list[Record]) -> ResourceChange:
    text = f"AAAA {name} -> {PLACEHOLDER} (proxied), because it has no record"
    condition, verb = Condition.MISSING, "create"
    if ours:
        record = ours[0]
        if (record.type, record.content, record.proxied) == ("AAAA", PLACEHOLDER, True):
            return ResourceChange(resource=_PLACEHOLDER, condition=Condition.PRESENT, text=text)
        condition, verb = Condition.CHANGED, "update"
    return ResourceChange(
        resource=_PLACEHOLDER, condition=condition, verb=verb, text=text, apply=_put_placeholder
    )


def _put_placeholder(run: ApplyRun) -> None:
    body = {"type": "AAAA", "name": run.desired.server_name, "content": PLACEHOLDER}
    put_record(run, run.apex, body, run.found.get(ApexReading).apex.records, "leads to the Worker")


def _delete_placeholder(run: ApplyRun) -> None:
    for record in ownership.split(run.found.get(ApexReading).apex.records, run.state)[0]:
        run.session.send("DELETE", f"/zones/{run.apex.id}/dns_records/{record.id}")
    run.forget(run.state.find(RECORD, run.desired.server_name))


def _proxy(run: ApplyRun) -> None:
    """Let Cloudflare proxy the records that the server name has."""
    foreign = ownership.split(run.found.get(ApexReading).apex.records, run.state)[1]
    unproxied = [record for record in foreign if record.proxiable]
    before = [{"id": record.id, "ttl": record.ttl} for record in unproxied]
    name = run.desired.server_name
    run.remember(StateEntry(type=_PROXY, parent=run.apex.id, name=name, before=before))
    patches = [{"id": record.id, "proxied": True} for record in unproxied]
    run.session.send("POST", f"/zones/{run.apex.id}/dns_records/batch", {"patches": patches})

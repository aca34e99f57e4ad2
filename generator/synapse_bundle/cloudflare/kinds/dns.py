"""DNS records: the CNAME that leads the homeserver's name into the tunnel, and how any is written.

Source: API reference of zones/dns_records. A batch is one transaction, in the order deletes,
patches, puts, posts. Its way to Cloudflare's name servers is not: for some seconds a few of them may
have the old records, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from .. import hostname, ownership, permissions, removal
from ..access import Access
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..desired import Desired
from ..dns_records import (
    ADDRESSES,
    PLACEHOLDER,
    TUNNEL_DOMAIN,
    Record,
    list_claims,
    name_claim,
)
from ..found import Found, PlanContext, ReadContext
from ..hostname import Hostname
from ..permissions import Permission
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..state import CloudflareState, StateEntry
from ..zone import Zone
from .kind import Kind
from .tunnel import TunnelReading, get_address

HOMESERVER: Final = "homeserver"
RECORD: Final = ownership.RECORD
_CLAIM: Final = "claim"


@dataclass(frozen=True, kw_only=True)
class DnsReading:
    """The homeserver's name, and the claims on it that running servers have written."""

    home: Hostname
    claims: tuple[Record, ...] = ()


class DnsKind(Kind):
    """The homeserver's CNAME; entries of all records that were created."""

    types = (RECORD,)
    replaceable = (HOMESERVER,)

    def list_permissions(self, access: Access) -> Iterator[Permission]:
        """Return what it takes to change records in both zones."""
        return (need_records(zone.id) for zone in access.zones)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Yield what it takes to change records in the zone of an entry."""
        yield need_records(entry.parent)

    def read(self, context: ReadContext, found: Found) -> DnsReading:
        """Read the homeserver's name."""
        session, zone, name = context.session, found.access.home, context.desired.homeserver
        home = hostname.read(session, zone, name)
        return DnsReading(home=home, claims=list_claims(session, zone, name))

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the CNAME, and the claim of a running server, which is its helper's to change."""
        yield _compare(context)
        if context.found.get(DnsReading).claims:
            text = f"TXT {name_claim(context.desired.homeserver)}, written by the helper"
            yield ResourceChange(resource=_CLAIM, condition=Condition.PRESENT, text=text)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield what keeps the homeserver's name from being reached."""
        home, zone = context.found.get(DnsReading).home, context.found.access.home
        for record in home.delegations:
            text = f"{record}: the name is delegated elsewhere; delete that record first"
            yield Note(text=text, stops=True)
        if home.balanced:
            text = f"A load balancer has the name {home.name} and overrides DNS; delete it first"
            yield Note(text=text, stops=True)
        if home.covered is not True:
            yield note_certificate(home.name, zone, stops=home.covered is False)
        for record in home.records:
            if record.locked and record.type in ADDRESSES:
                text = f"{record} belongs to another Cloudflare product; remove it there first"
                yield Note(text=text, stops=True)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Delete our records and restore what was there; a zone that was deleted has none."""
        path = f"/zones/{entry.parent}/dns_records"
        records = _list_at(context, path, entry.name)
        planned = _plan_removal(path, records, entry, context.state)
        if not planned.steps or entry.after[0] == PLACEHOLDER:
            return planned
        claims = [r for r in _list_at(context, path, name_claim(entry.name)) if r.type == "TXT"]
        steps = (removal.delete_path(f"{path}/{record.id}") for record in claims)
        return replace(planned, steps=(*steps, *planned.steps))

    def is_stale(self, entry: StateEntry, desired: Desired) -> bool:
        """Return whether a record is not at one of the names that need one."""
        if entry.after[0] == PLACEHOLDER:
            return not desired.delegates
        return entry.name != desired.homeserver

    def require_entry(self, entry: StateEntry) -> None:
        """Raise ValueError for a record that would be restored at another name."""
        if any(record["name"] != entry.name for record in entry.before or ()):
            raise ValueError(entry.name)


def need_records(zone: str) -> Permission:
    """Return what it takes to change the DNS of a zone."""
    return Permission(name=permissions.DNS, path=f"/zones/{zone}/dns_records/{permissions.NO_ID}")


def note_certificate(name: str, zone: Zone, *, stops: bool) -> Note:
    """Return what to do about a name for which the edge has no certificate."""
    return Note(
        text=f"Cloudflare's free certificate does not cover {name}, only one label below"
        f" {zone.name}: order an advanced certificate for it, or choose another name",
        stops=stops,
    )


def put_record(
    run: ApplyRun, zone: Zone, body: dict[str, Any], found: tuple[Record, ...], purpose: str
) -> None:
    """Create a proxied record, or replace those that are there by it."""
    body |= {"proxied": True, "ttl": 1, "comment": ownership.write_comment(run.state, purpose)}
    ours, foreign = ownership.split(found, run.state)
    entry = run.remember(_plan_entry(run.state, zone, body, ours, foreign))
    path = f"/zones/{zone.id}/dns_records"
    if foreign or any(record.type != body["type"] for record in ours):
        deletes = [{"id": record.id} for record in (*ours, *foreign)]
        batch = {"deletes": deletes, "posts": [body]}
        record = run.session.send("POST", f"{path}/batch", batch)["posts"][0]
    elif ours:
        record = run.session.send("PUT", f"{path}/{ours[0].id}", body)
    else:
        record = run.session.send("POST", path, body)
    run.remember(replace(entry, id=record["id"]))


def _plan_entry(
    state: CloudflareState,
    zone: Zone,
    body: dict[str, Any],
    ours: list[Record],
    foreign: list[Record],
) -> StateEntry:
    """Return the entry for a record that is about to be written.

    `after` begins with its content; what else may be there if this run is interrupted follows.
    """
    earlier = state.find(RECORD, body["name"]) if ours else None
    return StateEntry(
        type=RECORD,
        parent=zone.id,
        name=body["name"],
        id=ours[0].id if ours else "",
        before=[record.fields for record in foreign] or (earlier.before if earlier else None),
        after=[body["content"], *(record.content for record in ours)],
    )


def _compare(context: PlanContext) -> ResourceChange:
    """Return the CNAME that leads the homeserver's name into the tunnel."""
    found, state = context.found, context.state
    text = f"CNAME {context.desired.homeserver} -> the tunnel (proxied)"
    home, own = found.get(DnsReading).home, found.get(TunnelReading).own
    ours, foreign = ownership.split(home.records, state)
    condition, verb = Condition.MISSING, "create"
    if foreign:
        condition, verb = Condition.FOREIGN, "replace"
        shown = ownership.show_records(foreign, state)
        text = f"{shown} by {text}; {_name_loss(context)}"
    elif not ours and home.wildcards:
        condition = Condition.FOREIGN
        shown = ownership.show_records(home.wildcards, state)
        text = f"{text} where {shown} answers now; {_name_loss(context)}"
    elif ours and own and all(_leads_to(record, own.id) for record in ours):
        return ResourceChange(resource=HOMESERVER, condition=Condition.PRESENT, text=text)
    elif ours:
        condition, verb = Condition.CHANGED, "update"
        text = f"{ownership.show_records(ours, state)} to {text}"
    return ResourceChange(
        resource=HOMESERVER, condition=condition, verb=verb, text=text, apply=_put_homeserver
    )


def _leads_to(record: Record, tunnel: str) -> bool:
    address = f"{tunnel}{TUNNEL_DOMAIN}"
    return (record.type, record.content, record.proxied) == ("CNAME", address, True)


def _name_loss(context: PlanContext) -> str:
    """Return what stops working when the homeserver's name leads into the tunnel."""
    name = context.desired.homeserver
    apex = name == context.found.access.home.name
    what = "the domain's web site" if apex else "a web site"
    return f"{what}, or SSH or mail, is no longer reached under {name}"


def _put_homeserver(run: ApplyRun) -> None:
    body = {"type": "CNAME", "name": run.desired.homeserver, "content": get_address(run)}
    put_record(run, run.home, body, run.found.get(DnsReading).home.records, "the homeserver")


def _list_at(context: RemovalContext, path: str, name: str) -> list[Record]:
    """Return the records of a name; none in a zone that was deleted."""
    try:
        return list(map(Record.parse, context.session.list(path, {"name.exact": name})))
    except CloudflareError as error:
        if not error.missing:
            raise
        return []


def _plan_removal(
    path: str, records: list[Record], entry: StateEntry, state: CloudflareState
) -> Removal:
    ours = [record for record in records if ownership.is_ours(record, state)]
    untagged = [record for record in records if record.id == entry.id]
    if untagged and not ours:
        return removal.keep(entry, str(untagged[0]))
    if not ours:
        return removal.missing(entry, f"DNS record of {entry.name}")
    if any(record.content not in entry.after for record in ours):
        return removal.keep(entry, str(ours[0]))
    if not entry.before:
        steps = (removal.delete_path(f"{path}/{record.id}") for record in ours)
        return removal.delete(entry, str(ours[0]), *steps)
    body = {"deletes": [{"id": record.id} for record in ours], "posts": entry.before}
    shown = " and ".join(f"{b['type']} {b['name']} -> {b['content']}" for b in entry.before)
    return removal.restore(entry, shown, removal.send("POST", f"{path}/batch", body))

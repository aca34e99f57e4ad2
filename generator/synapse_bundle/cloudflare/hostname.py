"""One host name in its zone: its records, and whatever else decides whether it can be reached.

Sources: RFC 4592 (a wildcard answers for names that do not exist, below the nearest that does);
"Limitations" of Universal SSL; API reference of load_balancers.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dns_records import ADDRESSES, Record, list_records
from .permissions import read_if_allowed
from .session import Session
from .zone import Zone


@dataclass(frozen=True, kw_only=True)
class Hostname:
    """A host name in its zone.

    `wildcards` answer for the name if it has no record of its own; `delegations` are NS records at
    the name or above it; `balanced` is whether a load balancer has the name; `covered` is whether
    the edge has a certificate for it, None if that cannot be read.
    """

    name: str
    records: tuple[Record, ...] = ()
    wildcards: tuple[Record, ...] = ()
    delegations: tuple[Record, ...] = ()
    balanced: bool = False
    covered: bool | None = True


def read(session: Session, zone: Zone | None, name: str) -> Hostname:
    """Return what there is at a host name and around it."""
    if not zone:
        return Hostname(name=name)
    records = list_records(session, zone, name)
    above = {
        parent: list_records(session, zone, parent)
        for parent in _list_parents(name, zone)
        if parent != zone.name
    }
    own = records if name != zone.name else ()
    balancers = read_if_allowed(session, f"/zones/{zone.id}/load_balancers") or ()
    return Hostname(
        name=name,
        records=records,
        wildcards=() if records else _list_wildcards(session, zone, name, above),
        delegations=tuple(r for group in (own, *above.values()) for r in group if r.type == "NS"),
        balanced=any(each["name"] == name and each.get("enabled", True) for each in balancers),
        covered=_is_covered(session, zone, name),
    )


def _list_parents(name: str, zone: Zone) -> list[str]:
    """Return the names above a name, the nearest first and the zone's last."""
    labels = name.split(".")
    levels = len(labels) - zone.name.count(".") - 1
    return [".".join(labels[start:]) for start in range(1, levels + 1)]


def _list_wildcards(
    session: Session, zone: Zone, name: str, above: dict[str, tuple[Record, ...]]
) -> tuple[Record, ...]:
    """Return the addresses of the wildcard that answers for a name without records."""
    for parent in _list_parents(name, zone):
        found = list_records(session, zone, f"*.{parent}")
        if found:
            return tuple(record for record in found if record.type in ADDRESSES)
        if above.get(parent):
            break
    return ()


def _is_covered(session: Session, zone: Zone, name: str) -> bool | None:
    """Return whether the edge has a certificate for a name; None if the token may not read that."""
    parents = _list_parents(name, zone)
    if len(parents) < 2:
        return True
    packs = read_if_allowed(session, f"/zones/{zone.id}/ssl/certificate_packs")
    if packs is None:
        return None
    hosts = {host for pack in packs for host in pack.get("hosts") or ()}
    if hosts & {name, f"*.{parents[0]}"}:
        return True
    total = read_if_allowed(session, f"/zones/{zone.id}/acm/total_tls") or {}
    return bool(total.get("enabled"))

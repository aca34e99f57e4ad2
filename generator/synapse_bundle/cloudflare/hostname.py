"""What stands above and beside a name at Cloudflare, and decides whether it can be reached.

Sources: RFC 4592 (a wildcard answers for names that do not exist, below the nearest that does);
"Limitations" of Universal SSL; API reference of load_balancers, teamnet/routes and
zerotrust/routes/hostname.
"""

from __future__ import annotations

from dataclasses import dataclass

from .desired import ADDRESSES, Record, Zone
from .permissions import try_to_read
from .session import Client


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What matters of the rest of a zone for one name.

    `wildcards` answer for the name as long as it has no record of its own; `delegations` are NS
    records at it or above it; `balanced` is whether a load balancer has the name; `covered` whether
    the edge has a certificate for it, None where that cannot be seen.
    """

    wildcards: tuple[Record, ...] = ()
    delegations: tuple[Record, ...] = ()
    balanced: bool = False
    covered: bool | None = True


def look_around(
    client: Client, place: Zone | None, name: str, records: tuple[Record, ...]
) -> Surroundings:
    """Return what stands around a name that has these records."""
    if not place:
        return Surroundings()
    above = {
        parent: list_records(client, place, parent)
        for parent in list_parents(name, place)
        if parent != place.name
    }
    own = records if name != place.name else ()
    delegations = [r for found in (own, *above.values()) for r in found if r.type == "NS"]
    balancers = try_to_read(client, f"/zones/{place.id}/load_balancers") or ()
    return Surroundings(
        wildcards=() if records else list_wildcards(client, place, name, above),
        delegations=tuple(delegations),
        balanced=any(each["name"] == name and each.get("enabled", True) for each in balancers),
        covered=is_covered(client, place, name),
    )


def list_records(client: Client, place: Zone | None, name: str) -> tuple[Record, ...]:
    """Return the DNS records of a name."""
    if not place:
        return ()
    found = client.list(f"/zones/{place.id}/dns_records", {"name.exact": name})
    return tuple(map(Record.parse, found))


def list_parents(name: str, place: Zone) -> list[str]:
    """Return the names above a name, the nearest first and the zone's last."""
    labels = name.split(".")
    levels = len(labels) - place.name.count(".") - 1
    return [".".join(labels[start:]) for start in range(1, levels + 1)]


def list_wildcards(
    client: Client, place: Zone, name: str, above: dict[str, tuple[Record, ...]]
) -> tuple[Record, ...]:
    """Return the addresses of the wildcard that answers for a name without records."""
    for parent in list_parents(name, place):
        found = list_records(client, place, f"*.{parent}")
        if found:
            return tuple(record for record in found if record.type in ADDRESSES)
        if above.get(parent):
            break
    return ()


def is_covered(client: Client, place: Zone, name: str) -> bool | None:
    """Tell whether the edge has a certificate for a name; None where the token may not look."""
    parents = list_parents(name, place)
    if len(parents) < 2:
        return True
    packs = try_to_read(client, f"/zones/{place.id}/ssl/certificate_packs")
    if packs is None:
        return None
    hosts = {host for pack in packs for host in pack.get("hosts") or ()}
    if hosts & {name, f"*.{parents[0]}"}:
        return True
    total = try_to_read(client, f"/zones/{place.id}/acm/total_tls") or {}
    return bool(total.get("enabled"))


def list_private_routes(client: Client, account: str, tunnel: str) -> tuple[str, ...]:
    """Return the networks and names that the account reaches through a tunnel, as far as seen."""
    query = {"tunnel_id": tunnel, "is_deleted": "false"}
    networks = try_to_read(client, f"/accounts/{account}/teamnet/routes", **query) or ()
    names = try_to_read(client, f"/accounts/{account}/zerotrust/routes/hostname", **query) or ()
    return (*(each["network"] for each in networks), *(each["hostname"] for each in names))

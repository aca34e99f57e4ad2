"""Answers to DNS questions, as pure functions of the state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dnslib import AAAA, CAA, CNAME, NS, QTYPE, RCODE, RR, SOA, TXT, A, DNSLabel, DNSRecord

from fake_internet.state import InternetState

_TTL: Final = 5
_CLASSES: Final = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "NS": NS, "TXT": TXT}


class DnsResponses:
    """The answers of each name server, and of a resolver over all of them."""

    def __init__(self, state: InternetState, addresses: dict[str, str]) -> None:
        """Know the addresses of the name servers, by their first label."""
        self._state = state
        self._addresses = addresses

    def answer(self, packet: bytes, server: str) -> bytes:
        """Return the reply of a name server, or of the resolver where `server` is empty."""
        request = DNSRecord.parse(packet)
        name, kind = str(request.q.qname).lower().rstrip("."), QTYPE.get(request.q.qtype)
        self._state.queries.append([server or "resolver", name, str(kind)])
        reply = request.reply(ra=0 if server else 1, aa=1 if server else 0)
        zone = self._find_zone(name)
        if server and not zone:
            reply.header.rcode = RCODE.REFUSED
            return bytes(reply.pack())
        self._fill(reply, name, str(kind), server)
        if not reply.rr:
            reply.add_auth(build_soa(zone or ".", self._state.switches["nameservers"][0]))
            if not self._exists(name, server):
                reply.header.rcode = RCODE.NXDOMAIN
        return bytes(reply.pack())

    def _fill(self, reply: DNSRecord, name: str, kind: str, server: str) -> None:
        """Add the records of a name; the resolver follows aliases, a name server does not."""
        for _ in range(8):
            found = list(self._find(name, server))
            alias = [value for one, value in found if one == "CNAME"]
            wanted = ["CNAME"] if alias else [kind]
            for record in build_records(name, [pair for pair in found if pair[0] in wanted]):
                reply.add_answer(record)
            if name in self._state.zones and kind == "SOA":
                reply.add_answer(build_soa(name, self._state.switches["nameservers"][0]))
            if server or not alias or kind == "CNAME":
                return
            name = alias[0].lower().rstrip(".")

    def _find(self, name: str, server: str) -> Iterable[tuple[str, str]]:
        """Return the types and values at a name."""
        for owner, kind, value in self._state.switches["records"]:
            if owner == name:
                yield kind, value
        for record in self._state.records:
            if record["name"] == name and self._state.is_visible(record, server):
                yield record["type"], record["content"]
        if name in self._state.zones:
            yield from (("NS", one) for one in self._state.switches["nameservers"])
        label, _, rest = name.partition(".")
        if rest == "ns.cloudflare.com" and label in self._addresses:
            yield "A", self._addresses[label]

    def _exists(self, name: str, server: str) -> bool:
        """Return whether a name has anything at or below it."""
        owners = [record["name"] for record in self._state.records]
        owners += [owner for owner, _, _ in self._state.switches["records"]]
        owners += [*self._state.zones, *(f"{label}.ns.cloudflare.com" for label in self._addresses)]
        if name in {"", *self._state.zones}:
            return True
        below = any(owner.endswith(f".{name}") for owner in owners)
        return below or any(True for _ in self._find(name, server))

    def _find_zone(self, name: str) -> str:
        zones = (zone for zone in self._state.zones if name == zone or name.endswith(f".{zone}"))
        return next(zones, "")


def build_soa(zone: str, server: str) -> RR:
    """Return a zone's SOA record, with the contact of its first server."""
    times = (1, 10000, 2400, 604800, _TTL)
    value = SOA(server, "dns." + ".".join(server.split(".")[-2:]), times)
    return RR(DNSLabel(zone), QTYPE.SOA, ttl=_TTL, rdata=value)


def build_records(name: str, found: Iterable[tuple[str, str]]) -> Iterable[RR]:
    """Return resource records; a CAA's value is `<flags> <tag> <value>`."""
    for kind, value in found:
        if kind == "CAA":
            flags, tag, text = value.split(" ", 2)
            rdata = CAA(int(flags), tag, text.strip('"'))
        else:
            rdata = _CLASSES[kind](value)
        yield RR(DNSLabel(name), getattr(QTYPE, kind), ttl=_TTL, rdata=rdata)

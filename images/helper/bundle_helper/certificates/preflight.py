"""What must hold in DNS before an authority is asked: each obstacle would cost a failed attempt."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dns.resolver import Resolver

_CHALLENGE: Final = "_acme-challenge"
_CLOUDFLARE_SERVERS: Final = (".ns.cloudflare.com", ".foundationdns.com", ".foundationdns.net",
                       ".foundationdns.org")  # fmt: skip
# Behind name servers with a customer's own name the zone's SOA still names Cloudflare.
_CLOUDFLARE_SOA: Final = "dns.cloudflare.com"


def find_obstacles(
    names: Sequence[str], authorities: Sequence[str], resolver: Resolver
) -> tuple[str, ...]:
    """Return every obstacle to a DNS-01 challenge for `names`, each with what to do.

    `authorities` are the names by which CAA records (RFC 8659) may permit the issuer; without any
    CAA is not checked. What DNS does not answer is not an obstacle: the authority will say.
    """
    found = (
        problem
        for name in names
        for find in (_find_delegation, _find_challenge_alias)
        for problem in find(name, resolver)
    )
    prohibited = (_find_prohibition(name, authorities, resolver) for name in names if authorities)
    return tuple(dict.fromkeys((*found, *(p for problems in prohibited for p in problems))))


def _find_delegation(name: str, resolver: Resolver) -> Iterable[str]:
    try:
        zone = dns.resolver.zone_for_name(name, resolver=resolver)
        servers = [record.target for record in resolver.resolve(zone, dns.rdatatype.NS)]
        primaries = [record.rname for record in resolver.resolve(zone, dns.rdatatype.SOA)]
    except dns.exception.DNSException:
        return
    known = any(_text(server).endswith(_CLOUDFLARE_SERVERS) for server in servers)
    if not known and _CLOUDFLARE_SOA not in map(_text, primaries):
        yield (
            f"the zone {_text(zone)} is not delegated to Cloudflare but to"
            f" {', '.join(sorted(map(_text, servers)))}: enter the name servers that Cloudflare's"
            " dashboard shows for it at your registrar, and wait until DNS has them"
        )


def _find_challenge_alias(name: str, resolver: Resolver) -> Iterable[str]:
    record = f"{_CHALLENGE}.{name}"
    target = _find_alias(record, resolver)
    # A wildcard answers only while no record is there: the challenge's TXT record ends that.
    if target is None or target == _find_alias(f"{secrets.token_hex(8)}.{name}", resolver):
        return
    yield (
        f"{record} is a CNAME to {target}, left over from another tool: delete it"
        " in Cloudflare's dashboard (DNS, Records), because the challenge is a TXT of that name"
    )


def _find_alias(name: str, resolver: Resolver) -> str | None:
    try:
        return _text(resolver.resolve(name, dns.rdatatype.CNAME)[0].target)
    except dns.exception.DNSException:
        return None


def _find_prohibition(name: str, authorities: Sequence[str], resolver: Resolver) -> Iterable[str]:
    """Climb from the name to the top: the closest CAA record set decides (RFC 8659, section 3)."""
    domain = dns.name.from_text(name)
    while len(domain) > 1:
        try:
            records = list(resolver.resolve(domain, dns.rdatatype.CAA))
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            domain = domain.parent()
            continue
        except dns.exception.DNSException:
            return
        issuers = [_issuer(record.value) for record in records if record.tag.lower() == b"issue"]
        if issuers and not set(issuers) & set(authorities):
            yield (
                f"a CAA record of {_text(domain)} permits only {', '.join(i or 'no authority' for i in issuers)}: add"
                f' `0 issue "{authorities[0]}"` in Cloudflare\'s dashboard (DNS, Records)'
            )
        return


def _issuer(value: bytes) -> str:
    return value.decode("ascii", "replace").partition(";")[0].strip().lower()


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()

"""The claim record as DNS shows it: needs no token, and may be a minute behind Cloudflare's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from .claim_record import ClaimRecord, UnreadableError, name_record, parse_records

if TYPE_CHECKING:
    from dns.resolver import Resolver


def look_up(homeserver: str, resolver: Resolver) -> tuple[ClaimRecord, ...]:
    """Return the claims on a name; UnreadableError if DNS gives no answer."""
    name = dns.name.from_text(name_record(homeserver))
    try:
        answer = resolver.resolve(name, dns.rdatatype.TXT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except dns.exception.DNSException as error:
        raise UnreadableError(f"DNS does not answer for {name_record(homeserver)}") from error
    return parse_records(b"".join(record.strings).decode("ascii", "replace") for record in answer)

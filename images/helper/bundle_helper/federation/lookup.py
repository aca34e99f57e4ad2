"""DNS as server discovery asks it: SRV records, and the addresses of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from .faults import Fault, FaultError, explain_lookup

if TYPE_CHECKING:
    from dns.resolver import Answer, Resolver

_SERVICES: Final = ("_matrix-fed._tcp", "_matrix._tcp")


@dataclass(frozen=True, kw_only=True)
class SrvRecord:
    """One SRV record, its target as a whole name with the final dot."""

    target: str
    port: int
    priority: int
    weight: int


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host name leads to; `canonical` differs where it is an alias."""

    canonical: str
    addresses: tuple[str, ...]
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class SrvRecords:
    """The SRV records found under `name`, or none."""

    name: str = ""
    records: tuple[SrvRecord, ...] = ()
    fault: Fault | None = None


def find_srv_records(host: str, resolver: Resolver) -> SrvRecords:
    """Look for the service of a host: the registered name first, then the deprecated one.

    Clean absence is not a fault; a resolver that fails is one, because homeservers give up there.
    """
    for service in _SERVICES:
        name = f"{service}.{host}."
        try:
            answer = resolver.resolve(name, dns.rdatatype.SRV, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException as error:
            return SrvRecords(name=name, fault=explain_lookup(error, name))
        return SrvRecords(name=name, records=_read_records(answer), fault=_find_refusal(answer))
    return SrvRecords()


def _read_records(answer: Answer) -> tuple[SrvRecord, ...]:
    records = [
        SrvRecord(
            target=record.target.to_text(),
            port=record.port,
            priority=record.priority,
            weight=record.weight,
        )
        for record in answer
        if record.target != dns.name.root
    ]
    return tuple(sorted(records, key=lambda record: (record.priority, -record.weight)))


def _find_refusal(answer: Answer) -> Fault | None:
    if any(record.target != dns.name.root for record in answer):
        return None
    return Fault(
        detail=f"the SRV record {answer.qname} says that the service does not exist",
        cause="its target is the single dot of RFC 2782",
        next_step="delete the record, or name the server in it",
    )


def find_host(name: str, resolver: Resolver) -> Host:
    """Look up A and AAAA of a host; what DNS refuses is its fault, not an exception."""
    canonical, addresses = f"{name.rstrip('.')}.", []
    failures: list[dns.exception.DNSException] = []
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            answer = resolver.resolve(name, kind, search=False)
        except dns.exception.DNSException as error:
            failures.append(error)
            continue
        canonical = answer.canonical_name.to_text()
        addresses += [record.address for record in answer]
    if addresses:
        return Host(canonical=canonical, addresses=tuple(addresses))
    # What failed says more than what merely does not exist.
    failure = min(failures, key=lambda error: isinstance(error, dns.resolver.NoAnswer))
    return Host(canonical=canonical, addresses=(), fault=explain_lookup(failure, name))


def find_target(record: SrvRecord, resolver: Resolver) -> Host:
    """Look up an SRV record's target, which RFC 2782 forbids to be an alias."""
    host = find_host(record.target, resolver)
    if host.fault or host.canonical.lower() == record.target.lower():
        return host
    return Host(
        canonical=host.canonical,
        addresses=(),
        fault=Fault(
            detail=f"the SRV target {record.target} is an alias of {host.canonical}",
            cause="RFC 2782 forbids a CNAME there, and homeservers refuse it",
            next_step=f"name {host.canonical} in the SRV record, or delegate by well-known",
        ),
    )


def find_addresses(name: str, resolver: Resolver) -> tuple[str, ...]:
    """Return the addresses of a host; FaultError if it has none."""
    host = find_host(name, resolver)
    if host.fault:
        raise FaultError(host.fault)
    return host.addresses

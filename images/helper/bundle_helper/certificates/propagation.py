"""Watching a DNS record appear: each of the zone's own servers is asked for the record's value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dns.resolver import Resolver

_PORT: Final = 53
_TIMEOUT_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 2.0
# This many rounds without a single answer mean that port 53 is blocked.
_SILENT_ROUNDS: Final = 3


class PropagationError(Exception):
    """The record did not appear in time; the message names record and servers."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds to wait: at least `floor`, at most `ceiling`, and `blind` where nothing can be seen.

    The floor is there because a name server behind one address is many: this machine sees the
    nearest, the authority asks from several places.
    """

    floor: float = 10.0
    ceiling: float = 300.0
    blind: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock that never goes back, and sleep, both in seconds."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


def wait_for_records(
    records: Mapping[str, str],
    resolver: Resolver,
    patience: Patience,
    clock: Clock,
    tell: Callable[[str], None],
) -> None:
    """Return when every authoritative server has every value of `records` (name to value).

    PropagationError if the ceiling is reached before. Where no server can be asked it sleeps
    instead, and says so.
    """
    begun = clock.monotonic()
    try:
        servers = {name: _find_servers(name, resolver) for name in records}
    except dns.exception.DNSException as error:
        _sleep_blindly(f"the zone's servers cannot be found ({error})", patience, clock, tell)
        return
    missing, silent = _missing(records, servers), 0
    while any(missing.values()):
        silent = silent + 1 if _is_silent(missing, servers) else 0
        if silent == _SILENT_ROUNDS:
            _sleep_blindly("no name server answers on port 53", patience, clock, tell)
            return
        waited = clock.monotonic() - begun
        if waited > patience.ceiling:
            raise PropagationError(f"after {waited:.0f} s {_list_missing(missing)}")
        tell(f"{_list_missing(missing)}; {waited:.0f} s so far")
        clock.sleep(_PAUSE_SECONDS)
        missing = _missing(records, servers)
    rest = patience.floor - (clock.monotonic() - begun)
    tell(f"every name server has the record; {max(rest, 0):.0f} s more for distant ones")
    clock.sleep(max(rest, 0))


def _sleep_blindly(
    reason: str, patience: Patience, clock: Clock, tell: Callable[[str], None]
) -> None:
    """Sleep for as long as a record usually takes, and say why nothing better is possible."""
    tell(f"{reason}, so this waits {patience.blind:.0f} s without checking")
    clock.sleep(patience.blind)


def _find_servers(name: str, resolver: Resolver) -> dict[str, str]:
    """Return the authoritative servers of the zone of `name`: address to server name."""
    zone = dns.resolver.zone_for_name(name, resolver=resolver)
    servers: dict[str, str] = {}
    for record in resolver.resolve(zone, dns.rdatatype.NS):
        host = record.target.to_text(omit_final_dot=True)
        try:
            addresses = resolver.resolve(host, dns.rdatatype.A)
        except dns.exception.DNSException:
            continue
        servers |= {address.address: host for address in addresses}
    if not servers:
        raise dns.exception.DNSException(f"no name server of {zone} has an address")  # type: ignore[no-untyped-call]
    return servers


def _has_value(name: str, value: str, server: str) -> bool | None:
    """Say whether a server has that value among the TXT records of a name; None: no answer."""
    query = dns.message.make_query(name, dns.rdatatype.TXT)
    query.flags &= ~dns.flags.RD
    try:
        answer, _ = dns.query.udp_with_fallback(query, server, _TIMEOUT_SECONDS, _PORT)
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    texts = (
        b"".join(record.strings)
        for group in answer.answer
        if group.rdtype == dns.rdatatype.TXT
        for record in group
    )
    return value.encode() in texts


_Missing: TypeAlias = dict[str, dict[str, bool | None]]


def _missing(records: Mapping[str, str], servers: Mapping[str, Mapping[str, str]]) -> _Missing:
    """Return, by record and address, the servers without the value (False) or an answer (None)."""
    found = {
        name: {address: _has_value(name, value, address) for address in servers[name]}
        for name, value in records.items()
    }
    return {
        name: {address: state for address, state in states.items() if not state}
        for name, states in found.items()
    }


def _is_silent(missing: _Missing, servers: Mapping[str, Iterable[str]]) -> bool:
    return all(
        len(states) == len(list(servers[name])) and all(s is None for s in states.values())
        for name, states in missing.items()
    )


def _list_missing(missing: _Missing) -> str:
    parts = [
        f"{name} is not yet at {', '.join(states)}" for name, states in missing.items() if states
    ]
    return "; ".join(parts)

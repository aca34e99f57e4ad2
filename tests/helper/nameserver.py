"""An authoritative name server on loopback that answers from a table."""

from __future__ import annotations

import socket
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NameServer:
    """Answers each question with the records of `table`, and NXDOMAIN for a name that is not in it.

    A CNAME of the table is followed; `*.` stands for what is not there below its parent (RFC 4592). Names in `broken`, alone or with a kind, are answered with SERVFAIL.
    """

    def __init__(self, table: Mapping[tuple[str, str], Iterable[str]]) -> None:
        self.table = {key: list(values) for key, values in table.items()}
        self.broken: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._closing = Event()
        self._thread = Thread(target=self._serve, daemon=True)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer nothing any more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def resolver(self) -> dns.resolver.Resolver:
        """Return a resolver that asks this server alone."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        resolver.lifetime = 2.0
        return resolver

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                data, client = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), client)
            except (TimeoutError, dns.exception.DNSException):
                continue

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        if {name, f"{name} {kind}"} & self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        name = self._find_owner(name)
        for target in [] if kind == "CNAME" else self.table.get((name, "CNAME"), []):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", target))
            name = target.removesuffix(".")
        values = self.table.get((name, kind), [])
        if values:
            owner = f"{name}." if not name.startswith("*.") else question.name
            answer.answer.append(dns.rrset.from_text_list(owner, 60, "IN", kind, values))
        elif name not in {owner for owner, _ in self.table} and not answer.rcode():
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def _find_owner(self, name: str) -> str:
        """Return the wildcard that answers for a name that is not there; the name itself without one."""
        owners = {owner for owner, _ in self.table}
        closest = name
        while "." in closest and not any(f".{owner}".endswith(f".{closest}") for owner in owners):
            closest = closest.partition(".")[2]
        wildcard = f"*.{closest}"
        return wildcard if closest != name and wildcard in owners else name

"""The state of the fake internet: zones, records, tokens, and the faults that are switched on."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

# Names as Cloudflare gives them to its customers' zones.
NAMESERVERS: Final = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")
SWITCHES: dict[str, Any] = {
    # Which tokens exist, and the zones each may edit.
    "tokens": {"token-of-the-helper-00000000000000000000": ["example.test"]},
    # Failures of the API and of the authority: rules, see `FaultRule`.
    "cloudflare": [],
    "acme": [],
    # Seconds until a name server shows a new record; null is never. A missing one shows it at once.
    "delays": {},
    # What port 53 of the name servers does: answer, refuse or drop.
    "authorities": "answer",
    # Records beside those of the API, as [name, type, value].
    "records": [],
    # Where example.test is delegated to.
    "nameservers": list(NAMESERVERS),
    # What the authority says about renewal: null (its own answer), past or future.
    "renewal": None,
}


class UnknownSwitchError(Exception):
    """A test set a switch that does not exist."""


@dataclass(frozen=True, kw_only=True)
class FaultRule:
    """One fault: which requests it hits, how often, and the answer they get."""

    status: int
    method: str = ""
    path: str = ""
    code: int = 0
    kind: str = ""
    message: str = ""
    retry_after: int | None = None
    times: int | None = None

    def meets(self, method: str, path: str) -> bool:
        """Return whether a request fails by this rule."""
        return self.method in {"", method} and self.path in path


@dataclass(frozen=True, kw_only=True)
class Record:
    """A DNS record that was made through the API; `created` is a monotonic second."""

    identity: str
    zone: str
    kind: str
    name: str
    content: str
    ttl: int
    created: float

    def describe(self) -> dict[str, Any]:
        """Return it as the API does."""
        return {
            "id": self.identity,
            "type": self.kind,
            "name": self.name,
            "content": self.content,
            "ttl": self.ttl,
            "proxied": False,
            "proxiable": False,
            "comment": None,
            "tags": [],
        }


@dataclass(kw_only=True)
class InternetState:
    """Everything that the servers share."""

    zones: tuple[str, ...] = ("example.test", "other.test")
    identities: dict[str, str] = field(default_factory=dict)
    switches: dict[str, Any] = field(default_factory=lambda: dict(SWITCHES))
    records: list[Record] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    queries: list[list[str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.identities = {zone: secrets.token_hex(16) for zone in self.zones}

    def reset(self) -> None:
        """Forget what happened and undo every fault; zones keep their ids."""
        self.switches = dict(SWITCHES)
        for log in (self.records, self.requests, self.queries, self.violations):
            log.clear()
        self.spent.clear()

    def turn(self, switches: dict[str, Any]) -> None:
        """Set switches; UnknownSwitchError where one does not exist."""
        unknown = sorted(set(switches) - set(SWITCHES))
        if unknown:
            raise UnknownSwitchError(", ".join(unknown))
        for part in ("cloudflare", "acme"):
            for rule in switches.get(part, []):
                FaultRule(**rule)
        self.switches |= switches
        self.spent = {key: n for key, n in self.spent.items() if key.split()[0] not in switches}

    def find_fault(self, part: str, method: str, path: str) -> FaultRule | None:
        """Return the failure that a request meets, and count it."""
        for number, fields in enumerate(self.switches[part]):
            rule, key = FaultRule(**fields), f"{part} {number}"
            if not rule.meets(method, path):
                continue
            self.spent[key] = self.spent.get(key, 0) + 1
            if rule.times is None or self.spent[key] <= rule.times:
                return rule
        return None

    def is_visible(self, record: Record, server: str) -> bool:
        """Return whether a name server shows a record by now; the resolver needs all of them."""
        servers = [server] if server else self.switches["nameservers"]
        return all(self._shows(record, one.split(".")[0]) for one in servers)

    def _shows(self, record: Record, server: str) -> bool:
        delay = self.switches["delays"].get(server, 0)
        return delay is not None and time.monotonic() >= record.created + delay

    def describe(self) -> dict[str, Any]:
        """Return everything, for a test."""
        return {
            "records": [record.describe() for record in self.records],
            "requests": self.requests,
            "queries": self.queries,
            "violations": self.violations,
            "switches": self.switches,
            "zones": self.identities,
        }

"""The state of the fake internet: zones, records, tokens, and the faults that are switched on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from fake_internet.dns01 import CHECKS
from tests.support.fake_cloudflare.api import FakeApi
from tests.support.fake_cloudflare.store import NAME_SERVERS, FakeZone, Grant, Json

ZONES: Final = ("example.test", "other.test")
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
    "nameservers": list(NAME_SERVERS),
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


@dataclass(kw_only=True)
class InternetState:
    """Everything that the servers share."""

    api: FakeApi = field(default_factory=lambda: FakeApi(checks=CHECKS))
    switches: dict[str, Any] = field(default_factory=lambda: dict(SWITCHES))
    # When each record was made, by its id: a monotonic second.
    created: dict[str, float] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    queries: list[list[str]] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        account = self.api.store.add_account()
        for name in ZONES:
            self.api.store.add_zone(name, account)
        self._apply()

    @property
    def zones(self) -> dict[str, FakeZone]:
        """The zones, by their names."""
        return {zone.name: zone for zone in self.api.store.zones.values()}

    @property
    def records(self) -> list[Json]:
        """The records of all zones, as the API shows them."""
        return [record for zone in self.zones.values() for record in zone.records.values()]

    def date_records(self) -> None:
        """Remember when a record was first seen; to be called after each request."""
        for record in self.records:
            self.created.setdefault(record["id"], time.monotonic())

    def reset(self) -> None:
        """Forget what happened and undo every fault; zones keep their ids."""
        self.switches = dict(SWITCHES)
        for zone in self.zones.values():
            zone.records.clear()
        for log in (self.api.log, self.api.violations, self.requests, self.queries):
            log.clear()
        self.created.clear()
        self.spent.clear()
        self._apply()

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
        self._apply()

    def _apply(self) -> None:
        """Give the API the tokens and the name servers that are switched on."""
        self.api.store.grants = {
            value: Grant(
                value=value,
                id=value,
                name="helper",
                owner="user",
                allowed={("DNS Write", self.zones[name].id) for name in names},
            )
            for value, names in self.switches["tokens"].items()
        }
        for zone in self.zones.values():
            zone.name_servers = tuple(self.switches["nameservers"])

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

    def is_visible(self, record: Json, server: str) -> bool:
        """Return whether a name server shows a record by now; the resolver needs all of them."""
        servers = [server] if server else self.switches["nameservers"]
        return all(self._shows(record["id"], one.split(".")[0]) for one in servers)

    def _shows(self, identity: str, server: str) -> bool:
        delay = self.switches["delays"].get(server, 0)
        return delay is not None and time.monotonic() >= self.created[identity] + delay

    def describe(self) -> dict[str, Any]:
        """Return everything, for a test."""
        return {
            "records": self.records,
            "requests": self.requests,
            "queries": self.queries,
            "violations": self.api.violations,
            "switches": self.switches,
            "zones": {name: zone.id for name, zone in self.zones.items()},
        }

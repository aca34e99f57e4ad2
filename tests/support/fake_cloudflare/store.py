"""What the fake Cloudflare stores: accounts, zones, tokens; and what was touched."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]
# Names as Cloudflare gives them to its customers' zones.
NAME_SERVERS: Final = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")


@dataclass
class Grant:
    """A token: its value, whose it is (`user` or an account's id), what it may do and where.

    `location` is the only address that it is valid from, `user` is the user who owns it.
    """

    value: str
    id: str
    name: str
    owner: str
    allowed: set[tuple[str, str]]
    status: str = "active"
    location: str = ""
    user: str = "me"

    def may(self, permissions: tuple[str, ...], resource: str) -> bool:
        """Return whether one of some permissions is granted for a resource."""
        return any((permission, resource) in self.allowed for permission in permissions)


@dataclass
class FakeAccount:
    """An account; `subdomain` is whether it has a name at workers.dev, `private` what its tunnels lead to."""

    id: str
    tunnels: dict[str, Json] = field(default_factory=dict)
    scripts: dict[str, Json] = field(default_factory=dict)
    subdomain: bool = True
    private: list[Json] = field(default_factory=list)


@dataclass
class FakeZone:
    """A zone with everything that is set there. `refusals` by the path of a request below the zone."""

    id: str
    name: str
    account: str
    status: str = "active"
    type: str = "full"
    plan: str = "free"
    name_servers: tuple[str, ...] = NAME_SERVERS
    records: dict[str, Json] = field(default_factory=dict)
    routes: dict[str, Json] = field(default_factory=dict)
    ruleset: Json | None = None
    cache_rules: list[Json] = field(default_factory=list)
    page_rules: list[Json] = field(default_factory=list)
    redirect_rules: list[Json] = field(default_factory=list)
    balancers: list[Json] = field(default_factory=list)
    packs: list[Json] = field(default_factory=list)
    total_tls: bool = False
    paused: bool = False
    refusals: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    settings: Json = field(
        default_factory=lambda: {
            "browser_check": "on",
            "security_level": "medium",
            "always_use_https": "off",
        }
    )
    bots: Json = field(default_factory=lambda: {"fight_mode": True, "enable_js": False})
    normalization: Json = field(default_factory=lambda: {"scope": "incoming", "type": "cloudflare"})


@dataclass
class Store:
    """Everything. `touched` has the ids of what a request changed or removed.

    `shy` is whether what does not exist is answered as if it were forbidden, `hasty` whether an
    empty form is refused before it is looked at who sent it, `needy` whether no
    Worker may be uploaded by an account without a name at workers.dev, `quiet` whether tunnels are
    shown without their connections, `quota` how many tokens there may be.
    """

    accounts: dict[str, FakeAccount] = field(default_factory=dict)
    zones: dict[str, FakeZone] = field(default_factory=dict)
    deleted_zones: set[str] = field(default_factory=set)
    grants: dict[str, Grant] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    clinging: int = 0
    lag: int = 0
    shy: bool = False
    hasty: bool = False
    needy: bool = True
    quiet: bool = False
    quota: int = 50
    made: int = 0xABC0

    def make_id(self) -> str:
        """Return an identifier as Cloudflare gives them, the same in every run."""
        self.made += 1
        return f"{self.made * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"

    def make_uuid(self) -> str:
        """Return a tunnel's identifier."""
        text = self.make_id()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def add_account(self) -> FakeAccount:
        """Add an account."""
        account = FakeAccount(id=self.make_id())
        self.accounts[account.id] = account
        return account

    def add_zone(self, name: str, account: FakeAccount, **fields: Any) -> FakeZone:
        """Add a zone."""
        zone = FakeZone(id=self.make_id(), name=name, account=account.id, **fields)
        self.zones[zone.id] = zone
        return zone

    def delete_zone(self, zone: FakeZone) -> None:
        """Delete a zone with everything in it."""
        del self.zones[zone.id]
        self.deleted_zones.add(zone.id)

    def add_record(self, zone: FakeZone, kind: str, name: str, content: str, **fields: Any) -> Json:
        """Add a DNS record made by hand."""
        record = {
            "id": self.make_id(),
            "type": kind,
            "name": name,
            "content": content,
            "proxied": False,
            "proxiable": True,
            "ttl": 300,
            "comment": None,
            "tags": [],
            "settings": {},
            "meta": {},
            **fields,
        }
        zone.records[record["id"]] = record
        return record

    def add_route(self, zone: FakeZone, pattern: str, script: str | None) -> Json:
        """Add a Worker route made by hand."""
        route: Json = {"id": self.make_id(), "pattern": pattern, "script": script}
        zone.routes[route["id"]] = route
        return route

    def add_script(self, account: FakeAccount, name: str) -> Json:
        """Add a Worker deployed by hand."""
        script = {"id": name, "etag": self.make_id(), "tags": [], "enabled": True, "previews": True}
        account.scripts[name] = script
        return script

    def add_tunnel(self, account: FakeAccount, name: str, connections: int = 0) -> Json:
        """Add a tunnel made by hand."""
        tunnel: Json = {
            "id": self.make_uuid(),
            "name": name,
            "config_src": "local",
            "secret": "c2VjcmV0IG9mIGF0IGxlYXN0IHRoaXJ0eS10d28gYnl0ZXM=",
            "connections": [{"id": self.make_uuid()} for _ in range(connections)],
            "deleted_at": None,
        }
        account.tunnels[tunnel["id"]] = tunnel
        return tunnel

    def add_rule(self, zone: FakeZone, description: str) -> Json:
        """Add a configuration rule made by hand."""
        zone.ruleset = zone.ruleset or {"id": self.make_id(), "rules": []}
        rule = {
            "id": self.make_id(),
            "action": "set_config",
            "action_parameters": {"bic": True},
            "expression": '(http.host eq "www.example.org")',
            "description": description,
            "enabled": True,
        }
        zone.ruleset["rules"].append(rule)
        return rule

    def snapshot(self) -> Json:
        """Return everything that an operator would call the state of Cloudflare.

        Without the ids of what is listed by its content, and without deleted tunnels: what was
        replaced and restored is what was there before.
        """
        zones = {
            zone.name: {
                "records": sort(bare(record) for record in zone.records.values()),
                "routes": sort(bare(route) for route in zone.routes.values()),
                "rules": sort(bare(rule) for rule in (zone.ruleset or {"rules": []})["rules"]),
                "ruleset": zone.ruleset is not None,
                "settings": zone.settings,
                "bots": zone.bots,
                "normalization": zone.normalization,
            }
            for zone in self.zones.values()
        }
        accounts = {
            account.id: {
                "tunnels": sort(bare(t) for t in account.tunnels.values() if not t["deleted_at"]),
                "scripts": account.scripts,
            }
            for account in self.accounts.values()
        }
        tokens = sorted(grant.name for grant in self.grants.values())
        return copy.deepcopy({"zones": zones, "accounts": accounts, "tokens": tokens})


def bare(document: Json) -> Json:
    """Return a document without its id and what Cloudflare derives."""
    return {key: value for key, value in document.items() if key not in {"id", "proxiable"}}


def sort(documents: Iterator[Json]) -> list[Json]:
    """Return documents in an order that does not depend on their history."""
    return sorted(documents, key=repr)

"""Any sequence of plan, apply and destroy, with failures anywhere, in any account there may be."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from synapse_bundle.cloudflare.consent import FIXES, REPLACEABLE, Consent
from synapse_bundle.cloudflare.state import Kind
from synapse_bundle.credentials import file_names as imports
from synapse_bundle.errors import BundleError, SettingsError
from tests.cloudflare.desks import (
    DEATHS,
    EVERYTHING,
    FAILURES,
    PROVISIONING,
    Desk,
    open_desk,
    rename,
)  # fmt: skip
from tests.cloudflare.fake import Killed
from tests.cloudflare.world import Json

HOSTS = ("matrix.example.org", "chat.example.org", "example.org")
PATTERN = "example.org/.well-known/matrix/*"
ADDRESS_SETS = st.sampled_from([
    [],
    [("A", "192.0.2.1")],
    [("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:db8::1")],
    [("CNAME", "elsewhere.example.net")],
    [("TXT", "a word")],
    [("AAAA", "100::")],
])  # fmt: skip
STRANGERS = st.sampled_from([None, "mine", "synapse-bundle abcdefgh: the homeserver"])
CONSENTS = st.one_of(
    st.builds(Consent, replacing=st.just(set(REPLACEABLE)), fixing=st.just(set(FIXES))),
    st.builds(
        Consent,
        replacing=st.sets(st.sampled_from(REPLACEABLE)),
        leaving=st.sets(st.sampled_from(["apex", "route"])),
        fixing=st.sets(st.sampled_from(FIXES)),
    ),
)
TROUBLE = st.one_of(
    st.just({}),
    st.dictionaries(st.integers(0, 60), st.sampled_from(FAILURES), max_size=3),
    st.dictionaries(st.integers(0, 60), st.sampled_from([*FAILURES, *DEATHS]), max_size=2),
)
DYING = st.one_of(
    st.just({}),
    st.dictionaries(st.integers(0, 12), st.sampled_from(["before", "after"]), max_size=1),
)


class Sequences(RuleBasedStateMachine):
    """One account, one bundle, and an operator who types whatever comes to mind."""

    desk: Desk
    before: Json

    @initialize(draw=st.data(), owner=st.sampled_from(["user", "account"]))
    def furnish(self, draw: Any, owner: str) -> None:
        """Draw an account in which somebody else has things."""
        desk = open_desk(owner, status=draw.draw(st.sampled_from(["active", "pending"])))
        world, zone = desk.world, desk.zone
        for host in HOSTS:
            proxied, comment = draw.draw(st.booleans()), draw.draw(STRANGERS)
            for kind, content in draw.draw(ADDRESS_SETS):
                fields = {"proxied": proxied and kind != "TXT", "comment": comment}
                fields |= {"ttl": 1 if fields["proxied"] else 120, "proxiable": kind != "TXT"}
                world.add_record(zone, kind, host, content, **fields)
        world.add_script(desk.account, "other")
        world.add_route(zone, "www.example.org/*", "other")
        route = draw.draw(st.sampled_from(["none", "other", None]))
        if route != "none":
            world.add_route(zone, PATTERN, route)
        if draw.draw(st.booleans()):
            world.add_rule(zone, "mine")
        zone.bots["fight_mode"] = draw.draw(st.booleans())
        zone.normalization["scope"] = draw.draw(st.sampled_from(["incoming", "both", "none"]))
        zone.settings["browser_check"] = draw.draw(st.sampled_from(["on", "off"]))
        zone.settings["security_level"] = draw.draw(st.sampled_from(["medium", "essentially_off"]))
        tunnel = world.add_tunnel(desk.account, "synapse-bundle example.org abcdefgh", 1)
        if draw.draw(st.booleans()):
            secret = {"AccountTag": desk.account.id, "TunnelID": tunnel["id"]}
            desk.secrets[imports.TUNNEL] = str(secret | {"TunnelSecret": tunnel["secret"]}).replace(
                "'", '"'
            )
        if draw.draw(st.booleans()):
            desk.secrets[imports.TOKEN] = draw.draw(st.sampled_from([PROVISIONING, "dead" * 12]))
        world.clinging, world.lag = draw.draw(st.integers(0, 9)), draw.draw(st.integers(0, 2))
        desk.account.subdomain = draw.draw(st.booleans())
        self.desk, self.before = desk, world.snapshot()

    @rule()
    def plan(self) -> None:
        """A plan changes nothing."""
        world = self.desk.world.snapshot()
        self.desk.plan()
        assert self.desk.world.snapshot() == world

    @rule(consent=CONSENTS, requests=TROUBLE, writes=DYING)
    def apply(self, consent: Consent, requests: dict[int, str], writes: dict[int, str]) -> None:
        """An apply touches what is somebody else's only with a yes for it."""
        foreign, settings_before = self.list_foreign(), self.read_settings()
        self.desk.world.touched.clear()
        self.run(lambda: self.desk.apply(consent), requests, writes)
        touched = {place for each, place in foreign.items() if each in self.desk.world.touched}
        assert touched <= consent.replacing, touched
        changed = {
            name for name, value in self.read_settings().items() if settings_before[name] != value
        }
        assert changed <= consent.fixing

    @rule(requests=TROUBLE, writes=DYING)
    def destroy(self, requests: dict[int, str], writes: dict[int, str]) -> None:
        """A destroy touches nothing of somebody else's, but for what becomes DNS only again."""
        made = self.desk.state.made if self.desk.state else ()
        proxied = {each["id"] for m in made if m.kind is Kind.PROXY for each in m.before}
        foreign = self.list_foreign()
        self.desk.world.touched.clear()
        self.run(self.desk.destroy, requests, writes)
        assert not set(foreign) & self.desk.world.touched - proxied

    @rule(host=st.sampled_from(HOSTS))
    def rename(self, host: str) -> None:
        """The operator gives the homeserver another name."""
        rename(self.desk, host)

    @invariant()
    def violates_nothing(self) -> None:
        """No request was one that the API does not know."""
        if hasattr(self, "desk"):
            assert self.desk.fake.violations == []

    def teardown(self) -> None:
        """At last everything works: an apply completes, and a destroy restores everything."""
        if not hasattr(self, "desk"):
            return
        desk = self.desk
        desk.heal()
        desk.apply(copy.deepcopy(EVERYTHING))
        assert desk.list_pending() == []
        assert desk.state
        marked = {
            r["name"] for r in desk.zone.records.values() if desk.state.id in str(r["comment"])
        }
        assert marked <= {desk.wanted.homeserver, "example.org"}
        desk.destroy()
        assert desk.world.snapshot() == self.before
        assert desk.fake.violations == []

    def run(self, act: Any, requests: dict[int, str], writes: dict[int, str]) -> None:
        """Do something among failures; it ends well, with a message, or by dying."""
        self.desk.strike(requests, writes)
        world = self.desk.world.snapshot()
        try:
            act()
        except SettingsError:
            assert self.desk.world.snapshot() == world
        except (BundleError, Killed):
            pass
        self.desk.heal()

    def list_foreign(self) -> dict[str, str]:
        """Return the ids of what is not this bundle's, with the yes that it takes to touch it."""
        desk, zone = self.desk, self.desk.zone
        mark = desk.state.id if desk.state else "nobody"
        places = {desk.wanted.homeserver: "homeserver"}
        if desk.wanted.homeserver != "example.org":
            places["example.org"] = "apex"
        found = {
            each["id"]: places.get(each["name"], "never") if each["type"] != "TXT" else "never"
            for each in zone.records.values()
            if mark not in str(each["comment"])
        }
        found |= {
            each["id"]: "route" if each["pattern"] == PATTERN else "never"
            for each in zone.routes.values()
            if mark not in str(each["script"])
        }
        rules = (zone.ruleset or {"rules": []})["rules"]
        found |= {rule["id"]: "never" for rule in rules if mark not in rule["description"]}
        tunnels, scripts = desk.account.tunnels.values(), desk.account.scripts
        found |= {each["id"]: "never" for each in tunnels if mark not in each["name"]}
        found |= {name: "never" for name in scripts if mark not in name}
        grants = desk.world.grants.values()
        return found | {each.id: "never" for each in grants if mark not in each.name}

    def read_settings(self) -> dict[str, Any]:
        """Return the settings by the name of what may change them."""
        zone = self.desk.zone
        rules = (zone.ruleset or {"rules": []})["rules"]
        return copy.deepcopy(
            {
                "bot-fight-mode": zone.bots,
                "always-https": zone.settings,
                "url-normalization": zone.normalization,
                "browser-checks": len(rules),
            }
        )


def test_any_sequence_ends_where_it_should() -> None:
    """Everything is brought about, nothing foreign is touched, and everything can be taken back."""
    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=200,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

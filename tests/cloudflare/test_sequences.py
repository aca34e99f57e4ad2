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

from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.kinds.registry import FIXES, REPLACEABLE
from synapse_bundle.credentials import file_names
from synapse_bundle.errors import BundleError, SettingsError
from tests.cloudflare.simulation import (
    DEATHS,
    EVERYTHING,
    FAILURES,
    PROVISIONING,
    Simulation,
    rename,
    simulate,
)  # fmt: skip
from tests.support.fake_cloudflare.api import Killed
from tests.support.fake_cloudflare.store import Json

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
APPROVALS = st.one_of(
    st.builds(Approval, replacing=st.just(set(REPLACEABLE)), fixing=st.just(set(FIXES))),
    st.builds(
        Approval,
        replacing=st.sets(st.sampled_from(REPLACEABLE)),
        leaving=st.sets(st.sampled_from(["apex", "route"])),
        fixing=st.sets(st.sampled_from(FIXES)),
    ),
)
FAULTS = st.SearchStrategy[dict[int, str]]
TROUBLE: FAULTS = st.one_of(
    st.just({}),
    st.dictionaries(st.integers(0, 60), st.sampled_from(FAILURES), max_size=3),
    st.dictionaries(st.integers(0, 60), st.sampled_from([*FAILURES, *DEATHS]), max_size=2),
)
DYING: FAULTS = st.one_of(
    st.just({}),
    st.dictionaries(st.integers(0, 12), st.sampled_from(["before", "after"]), max_size=1),
)


class Sequences(RuleBasedStateMachine):
    """One account, one bundle, and an operator who types whatever comes to mind."""

    simulation: Simulation
    before: Json

    @initialize(draw=st.data(), owner=st.sampled_from(["user", "account"]))
    def furnish(self, draw: Any, owner: str) -> None:
        """Draw an account in which there are foreign things."""
        simulation = simulate(owner, status=draw.draw(st.sampled_from(["active", "pending"])))
        store, zone = simulation.store, simulation.zone
        for host in HOSTS:
            proxied, comment = draw.draw(st.booleans()), draw.draw(STRANGERS)
            for kind, content in draw.draw(ADDRESS_SETS):
                fields = {"proxied": proxied and kind != "TXT", "comment": comment}
                fields |= {"ttl": 1 if fields["proxied"] else 120, "proxiable": kind != "TXT"}
                store.add_record(zone, kind, host, content, **fields)
        store.add_script(simulation.account, "other")
        store.add_route(zone, "www.example.org/*", "other")
        route = draw.draw(st.sampled_from(["none", "other", None]))
        if route != "none":
            store.add_route(zone, PATTERN, route)
        if draw.draw(st.booleans()):
            store.add_rule(zone, "mine")
        zone.bots["fight_mode"] = draw.draw(st.booleans())
        zone.normalization["scope"] = draw.draw(st.sampled_from(["incoming", "both", "none"]))
        zone.settings["browser_check"] = draw.draw(st.sampled_from(["on", "off"]))
        zone.settings["security_level"] = draw.draw(st.sampled_from(["medium", "essentially_off"]))
        tunnel = store.add_tunnel(simulation.account, "synapse-bundle example.org abcdefgh", 1)
        if draw.draw(st.booleans()):
            secret = {"AccountTag": simulation.account.id, "TunnelID": tunnel["id"]}
            simulation.secrets[file_names.TUNNEL] = str(
                secret | {"TunnelSecret": tunnel["secret"]}
            ).replace("'", '"')
        if draw.draw(st.booleans()):
            simulation.secrets[file_names.TOKEN] = draw.draw(
                st.sampled_from([PROVISIONING, "dead" * 12])
            )
        store.clinging, store.lag = draw.draw(st.integers(0, 9)), draw.draw(st.integers(0, 2))
        simulation.account.subdomain = draw.draw(st.booleans())
        self.simulation, self.before = simulation, store.snapshot()

    @rule()
    def plan(self) -> None:
        """A plan changes nothing."""
        store = self.simulation.store.snapshot()
        self.simulation.plan()
        assert self.simulation.store.snapshot() == store

    @rule(approval=APPROVALS, requests=TROUBLE, writes=DYING)
    def apply(self, approval: Approval, requests: dict[int, str], writes: dict[int, str]) -> None:
        """An apply touches what is foreign only with approval for it."""
        foreign, settings_before = self.list_foreign(), self.read_settings()
        self.simulation.store.touched.clear()
        self.run(lambda: self.simulation.apply(approval), requests, writes)
        touched = {
            place for each, place in foreign.items() if each in self.simulation.store.touched
        }
        assert touched <= approval.replacing, touched
        changed = {
            name for name, value in self.read_settings().items() if settings_before[name] != value
        }
        assert changed <= approval.fixing

    @rule(requests=TROUBLE, writes=DYING)
    def destroy(self, requests: dict[int, str], writes: dict[int, str]) -> None:
        """A destroy touches nothing foreign, except what becomes DNS only again."""
        entries = self.simulation.state.entries if self.simulation.state else ()
        proxied = {
            each["id"] for entry in entries if entry.type == "proxy" for each in entry.before
        }
        foreign = self.list_foreign()
        self.simulation.store.touched.clear()
        self.run(self.simulation.destroy, requests, writes)
        assert not set(foreign) & self.simulation.store.touched - proxied

    @rule(host=st.sampled_from(HOSTS))
    def rename(self, host: str) -> None:
        """The operator gives the homeserver another name."""
        rename(self.simulation, host)

    @invariant()
    def violates_nothing(self) -> None:
        """No request was one that the API does not know."""
        if hasattr(self, "simulation"):
            assert self.simulation.fake.violations == []

    def teardown(self) -> None:
        """At last everything works: an apply completes, and a destroy restores everything."""
        if not hasattr(self, "simulation"):
            return
        simulation = self.simulation
        simulation.heal()
        simulation.apply(copy.deepcopy(EVERYTHING))
        assert simulation.list_pending() == []
        assert simulation.state
        marked = {
            r["name"]
            for r in simulation.zone.records.values()
            if simulation.state.id in str(r["comment"])
        }
        assert marked <= {simulation.desired.homeserver, "example.org"}
        simulation.destroy()
        assert simulation.store.snapshot() == self.before
        assert simulation.fake.violations == []

    def run(self, act: Any, requests: dict[int, str], writes: dict[int, str]) -> None:
        """Do something among failures; it ends well, with a message, or by dying."""
        self.simulation.strike(requests, writes)
        store = self.simulation.store.snapshot()
        try:
            act()
        except SettingsError:
            assert self.simulation.store.snapshot() == store
        except (BundleError, Killed):
            pass
        self.simulation.heal()

    def list_foreign(self) -> dict[str, str]:
        """Return the ids of what is foreign, with the approval required to touch it."""
        simulation, zone = self.simulation, self.simulation.zone
        identity = simulation.state.id if simulation.state else "none"
        places = {simulation.desired.homeserver: "homeserver"}
        if simulation.desired.homeserver != "example.org":
            places["example.org"] = "apex"
        found = {
            each["id"]: places.get(each["name"], "never") if each["type"] != "TXT" else "never"
            for each in zone.records.values()
            if identity not in str(each["comment"])
        }
        found |= {
            each["id"]: "route" if each["pattern"] == PATTERN else "never"
            for each in zone.routes.values()
            if identity not in str(each["script"])
        }
        rules = (zone.ruleset or {"rules": []})["rules"]
        found |= {rule["id"]: "never" for rule in rules if identity not in rule["description"]}
        tunnels, scripts = simulation.account.tunnels.values(), simulation.account.scripts
        found |= {each["id"]: "never" for each in tunnels if identity not in each["name"]}
        found |= {name: "never" for name in scripts if identity not in name}
        grants = simulation.store.grants.values()
        return found | {each.id: "never" for each in grants if identity not in each.name}

    def read_settings(self) -> dict[str, Any]:
        """Return the settings by the name of what may change them."""
        zone = self.simulation.zone
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
    """Everything is applied, nothing foreign is touched, and everything can be removed."""
    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=200,
            stateful_step_count=10,
            suppress_health_check=list(HealthCheck),
        ),
    )

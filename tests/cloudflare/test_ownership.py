"""What the bundle did not create, and what was changed since: never touched without approval."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from synapse_bundle.cloudflare import ownership as marks
from synapse_bundle.cloudflare import state as state_file
from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.removal import RemovalAction
from synapse_bundle.credentials import file_names
from synapse_bundle.errors import BundleError, SettingsError
from tests.cloudflare.simulation import Simulation, rename, simulate
from tests.support.fake_cloudflare.store import Json

HOST = "matrix.example.org"
PATTERN = "example.org/.well-known/matrix/*"


@pytest.fixture
def simulation() -> Simulation:
    """A simulation at a new account."""
    return simulate()


def find(simulation: Simulation, name: str, kind: str = "") -> list[Json]:
    """Return the records of a name."""
    records = simulation.zone.records.values()
    return [r for r in records if r["name"] == name and r["type"].startswith(kind)]


def obstruct(simulation: Simulation) -> None:
    """Put something foreign into every place."""
    simulation.store.add_record(simulation.zone, "A", HOST, "192.0.2.1")
    simulation.store.add_record(simulation.zone, "A", "example.org", "192.0.2.2")
    simulation.store.add_script(simulation.account, "other")
    simulation.store.add_route(simulation.zone, PATTERN, "other")
    tunnel = simulation.store.add_tunnel(simulation.account, "by hand")
    simulation.secrets[file_names.TUNNEL] = (
        f'{{"AccountTag":"{simulation.account.id}","TunnelID":"{tunnel["id"]}",'
        f'"TunnelSecret":"{tunnel["secret"]}"}}'
    )


def test_everything_foreign_is_listed_at_once_and_nothing_is_changed(
    simulation: Simulation,
) -> None:
    """Without a terminal an apply stops before its first change and names the options."""
    obstruct(simulation)
    store = simulation.store.snapshot()
    with pytest.raises(SettingsError) as raised:
        simulation.apply(Approval())
    for message in (
        "replace A matrix.example.org -> 192.0.2.1 by CNAME matrix.example.org",
        "--replace homeserver\n",
        "proxy A example.org -> 192.0.2.2, which is DNS only; its visitors will come through",
        "--replace apex or --leave apex",
        "replace route example.org/.well-known/matrix/* -> Worker other by route",
        "--replace route or --leave route",
        "replace secrets/tunnel.json, which is for another tunnel",
        "--replace credential",
    ):
        assert message in raised.value.message
    assert simulation.store.snapshot() == store
    assert simulation.state is None


def test_an_approval_counts_for_its_own_resource_only(simulation: Simulation) -> None:
    """Approval for the homeserver's name does not cover the apex."""
    obstruct(simulation)
    with pytest.raises(SettingsError) as raised:
        simulation.apply(Approval(replacing={"homeserver", "route", "credential"}))
    assert raised.value.message.count("--replace") == 1
    assert "--replace apex" in raised.value.message


def test_the_apex_can_be_left_as_it_is(simulation: Simulation) -> None:
    """Without the proxy there is neither Worker nor route; that is remembered, and can be changed."""
    record = simulation.store.add_record(simulation.zone, "A", "example.org", "192.0.2.2")
    simulation.apply(Approval(leaving={"apex"}))
    assert simulation.zone.records[record["id"]]["proxied"] is False
    assert simulation.account.scripts == {}
    assert simulation.zone.routes == {}
    assert simulation.list_pending(Approval()) == []
    assert simulation.state
    assert "No Worker answers https://example.org/.well-known/matrix/" in "\n".join(
        simulation.list_notes()
    )
    simulation.apply(Approval(replacing={"apex"}))
    assert simulation.zone.records[record["id"]]["proxied"] is True
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.zone.records[record["id"]] == record


def test_a_foreign_route_can_be_left_as_it_is(simulation: Simulation) -> None:
    """An operator with their own Worker for discovery keeps it."""
    simulation.store.add_script(simulation.account, "other")
    route = simulation.store.add_route(simulation.zone, PATTERN, "other")
    simulation.apply(Approval(leaving={"route"}))
    assert simulation.zone.routes == {route["id"]: route}
    assert set(simulation.account.scripts) == {"other"}
    assert simulation.list_pending(Approval()) == []


def test_a_record_that_cannot_be_proxied_is_left(simulation: Simulation) -> None:
    """Then there is nothing to ask, and no Worker."""
    simulation.store.add_record(simulation.zone, "A", "example.org", "192.168.1.2", proxiable=False)
    simulation.apply(Approval())
    assert simulation.account.scripts == {}
    assert simulation.list_pending(Approval()) == []


def test_a_proxied_apex_needs_nothing(simulation: Simulation) -> None:
    """One proxied record at a name is enough for Cloudflare, and for us."""
    simulation.store.add_record(
        simulation.zone, "A", "example.org", "192.0.2.2", proxied=True, ttl=1
    )
    simulation.store.add_record(simulation.zone, "AAAA", "example.org", "2001:db8::2")
    before = find(simulation, "example.org")
    simulation.apply(Approval())
    assert find(simulation, "example.org") == before
    assert len(simulation.zone.routes) == 1


def test_another_bundle_is_named_and_can_be_taken_over(simulation: Simulation) -> None:
    """A state that was lost: what it created is foreign, until its id is given."""
    simulation.apply()
    assert simulation.state
    lost, store = simulation.state.id, simulation.store.snapshot()
    simulation.state = None
    with pytest.raises(SettingsError) as raised:
        simulation.apply(Approval())
    assert f"(created by another bundle, {lost})" in raised.value.message
    notes = "\n".join(simulation.list_notes())
    assert f"apply --adopt {lost}" in notes
    simulation.state = state_file.create("example.org", lost)
    simulation.apply(Approval())
    assert {**simulation.store.snapshot(), "tokens": 0} == {**store, "tokens": 0}
    with pytest.raises(SettingsError, match="is not a bundle id"):
        state_file.create("example.org", "not an id")


def test_a_lost_state_does_not_matter_where_a_name_is_used_otherwise(
    simulation: Simulation,
) -> None:
    """A placeholder becomes the homeserver's record: one of another type, in one transaction."""
    simulation.apply()
    assert simulation.state
    simulation.state = state_file.create("example.org", simulation.state.id)
    rename(simulation, "example.org")
    simulation.apply(Approval())
    assert [(r["type"], r["name"]) for r in find(simulation, "example.org")] == [
        ("CNAME", "example.org")
    ]
    assert simulation.list_pending(Approval()) == []


@pytest.mark.parametrize(
    ("text", "stranger"),
    [
        ("synapse-bundle example.org bbbbbbbb", "bbbbbbbb"),
        ("synapse-bundle bbbbbbbb: the homeserver", "bbbbbbbb"),
        ("synapse-bundle example.org aaaaaaaa", ""),
        ("synapse-bundle aaaaaaaa: the homeserver", ""),
        ("synapse-bundle example.net bbbbbbbb", ""),
        ("synapse-bundle exampleXorg bbbbbbbb", ""),
        ("synapse-bundle", ""),
        ("synapse-bundle: see the wiki", ""),
        ("my server", ""),
        ("", ""),
    ],
)
def test_the_id_of_another_bundle_is_recognized(text: str, stranger: str) -> None:
    """And nothing else is taken for one."""
    state = state_file.create("example.org", "aaaaaaaa")
    assert marks.find_other_bundle(text, state) == stranger


def test_what_was_there_first_is_restored_after_repairs(simulation: Simulation) -> None:
    """A deleted tunnel is created again; a destroy still knows the record before."""
    simulation.store.add_record(simulation.zone, "A", HOST, "192.0.2.1", comment="old")
    before = simulation.store.snapshot()
    simulation.apply()
    next(iter(simulation.account.tunnels.values()))["deleted_at"] = "now"
    simulation.apply(Approval())
    assert simulation.list_pending() == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_a_tunnel_that_was_renamed_serves_and_is_not_deleted(simulation: Simulation) -> None:
    """It is known by its id as well; only its name says that it may be deleted."""
    simulation.apply()
    (tunnel,) = simulation.account.tunnels.values()
    tunnel["name"] = "my server"
    assert simulation.list_pending() == []
    kept = [
        removal.text for removal in simulation.destroy() if removal.action is RemovalAction.KEEP
    ]
    assert [text.partition(", now ")[2] for text in kept] == [
        "'my server': changed since by someone else"
    ]
    assert not tunnel["deleted_at"]


def test_a_placeholder_makes_room_for_a_record(simulation: Simulation) -> None:
    """When the server name gets a web site, visitors must not be led to 100:: as well."""
    simulation.apply()
    website = simulation.store.add_record(
        simulation.zone, "AAAA", "example.org", "2001:db8::2", proxied=True
    )
    simulation.apply(Approval())
    assert find(simulation, "example.org") == [website]
    assert simulation.list_pending() == []
    simulation.destroy()
    assert list(simulation.zone.records.values()) == [website]


def list_rules(simulation: Simulation) -> list[Json]:
    """Return the configuration rules of the zone."""
    assert simulation.zone.ruleset
    rules: list[Json] = simulation.zone.ruleset["rules"]
    return rules


Deed = Callable[[Simulation], Any]
REPAIRED: dict[str, Deed] = {
    "the tunnel is deleted": lambda d: next(iter(d.account.tunnels.values())).update(
        deleted_at="x"
    ),
    "the CNAME is deleted": lambda d: d.zone.records.pop(find(d, HOST)[0]["id"]),
    "the CNAME leads elsewhere": lambda d: find(d, HOST)[0].update(content="www.example.net"),
    "the CNAME is DNS only": lambda d: find(d, HOST)[0].update(proxied=False),
    "the CNAME's comment is edited": lambda d: find(d, HOST)[0].update(comment="", proxied=False),
    "the placeholder is deleted": lambda d: d.zone.records.pop(find(d, "example.org")[0]["id"]),
    "the Worker is edited": lambda d: next(iter(d.account.scripts.values())).update(etag="x"),
    "the Worker is shown": lambda d: next(iter(d.account.scripts.values())).update(enabled=True),
    "the route is deleted": lambda d: d.zone.routes.clear(),
    "the token is revoked": lambda d: [d.store.grants.pop(g) for g in list(d.store.grants)[1:]],
    "the bundle loses its secrets": lambda d: d.secrets.clear(),
    "the rule is edited": lambda d: list_rules(d)[0].update(enabled=False),
    "the rule is deleted": lambda d: list_rules(d).clear(),
}


@pytest.mark.parametrize("deed", REPAIRED)
def test_what_was_damaged_is_seen_and_repaired(simulation: Simulation, deed: str) -> None:
    """One apply repairs what happened to the bundle's own, and a destroy still restores."""
    before = simulation.store.snapshot()
    simulation.apply()
    REPAIRED[deed](simulation)
    assert simulation.list_pending() != []
    simulation.apply()
    assert simulation.list_pending() == []
    credential = simulation.secrets[file_names.TUNNEL]
    assert find(simulation, HOST, "CNAME")[0]["content"].partition(".")[0] in credential
    simulation.destroy()
    assert simulation.store.snapshot() == before
    assert simulation.fake.violations == []


KEPT: dict[str, Deed] = {
    "the CNAME leads elsewhere": lambda d: find(d, HOST)[0].update(content="www.example.net"),
    "the placeholder is a server": lambda d: find(d, "example.org")[0].update(content="2001:db8::9"),
    "the route leads elsewhere": lambda d: d.store.add_script(d.account, "other") and next(
        iter(d.zone.routes.values())
    ).update(script="other"),
    "HTTPS is off again": lambda d: d.zone.settings.update(always_use_https="off"),
    "bots are fought again": lambda d: d.zone.bots.update(fight_mode=True),
}  # fmt: skip


@pytest.mark.parametrize("deed", KEPT)
def test_a_destroy_keeps_what_was_changed_since(simulation: Simulation, deed: str) -> None:
    """It is reported, and everything else is removed."""
    simulation.apply()
    KEPT[deed](simulation)
    records = {name: find(simulation, name) for name in (HOST, "example.org")}
    done = simulation.destroy()
    kept = [removal.text for removal in done if removal.action is RemovalAction.KEEP]
    assert len(kept) == 1
    assert kept[0].endswith("changed since by someone else")
    remaining = {name: find(simulation, name) for name in records}
    assert sum(map(bool, remaining.values())) == ("CNAME" in deed or "placeholder" in deed)
    assert all(not found or found == records[name] for name, found in remaining.items())
    assert all(t["deleted_at"] for t in simulation.account.tunnels.values())


def test_a_destroy_stops_before_it_breaks_a_foreign_route(simulation: Simulation) -> None:
    """A route that was added by hand keeps the Worker, and nothing at all is removed."""
    simulation.apply()
    script = next(iter(simulation.account.scripts))
    simulation.store.add_route(simulation.zone, "www.example.org/.well-known/matrix/*", script)
    store = simulation.store.snapshot()
    with pytest.raises(BundleError, match=r"a route that was not created here: www\.example\.org"):
        simulation.destroy()
    assert simulation.store.snapshot() == store


def test_a_dead_credential_is_not_foreign(simulation: Simulation) -> None:
    """After a destroy the secrets stay on disk; the next apply does not take them for foreign."""
    simulation.apply()
    simulation.destroy()
    assert file_names.TUNNEL in simulation.secrets
    simulation.apply(Approval())
    assert simulation.list_pending(Approval()) == []


def test_a_credential_of_another_account_is_foreign(simulation: Simulation) -> None:
    """Whether that tunnel exists cannot be read, so it counts as existing."""
    obstruct(simulation)
    credential = simulation.secrets[file_names.TUNNEL]
    simulation.secrets[file_names.TUNNEL] = credential.replace(simulation.account.id, "f" * 32)
    assert any(c.resource == "credential" and c.verb == "replace" for c in simulation.plan())


def test_a_foreign_resource_that_appears_during_an_apply_stops_it(simulation: Simulation) -> None:
    """An approval is for what was shown, not for what appeared since."""
    rehearsal = copy.deepcopy(simulation)
    rehearsal.apply()
    creating = next(n for n, line in enumerate(rehearsal.fake.log) if line.startswith("POST"))
    simulation.strike({creating: "500 after"})
    real = simulation.read

    def read(*arguments: Any) -> Any:
        if len(simulation.fake.log) > creating:
            simulation.store.add_record(simulation.zone, "A", HOST, "192.0.2.7")
        return real(*arguments)

    simulation.read = read  # type: ignore[method-assign, assignment]
    with pytest.raises(BundleError, match="not approved"):
        simulation.apply(Approval())
    assert [record["content"] for record in find(simulation, HOST)] == ["192.0.2.7"]

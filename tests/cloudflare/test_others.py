"""What somebody else made, and what somebody changed since: never touched without a yes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from synapse_bundle.cloudflare import advice, marks
from synapse_bundle.cloudflare import state as states
from synapse_bundle.cloudflare.change import Part
from synapse_bundle.cloudflare.consent import Consent
from synapse_bundle.cloudflare.undoing import Verb
from synapse_bundle.credentials import file_names as imports
from synapse_bundle.errors import BundleError, SettingsError
from tests.cloudflare.desks import Desk, open_desk, rename
from tests.cloudflare.world import Json

HOST = "matrix.example.org"
PATTERN = "example.org/.well-known/matrix/*"


@pytest.fixture
def desk() -> Desk:
    """A desk at a new account."""
    return open_desk()


def find(desk: Desk, name: str, kind: str = "") -> list[Json]:
    """Return the records of a name."""
    records = desk.zone.records.values()
    return [r for r in records if r["name"] == name and r["type"].startswith(kind)]


def obstruct(desk: Desk) -> None:
    """Put something of somebody else's into every place."""
    desk.world.add_record(desk.zone, "A", HOST, "192.0.2.1")
    desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2")
    desk.world.add_script(desk.account, "other")
    desk.world.add_route(desk.zone, PATTERN, "other")
    tunnel = desk.world.add_tunnel(desk.account, "by hand")
    desk.secrets[imports.TUNNEL] = (
        f'{{"AccountTag":"{desk.account.id}","TunnelID":"{tunnel["id"]}",'
        f'"TunnelSecret":"{tunnel["secret"]}"}}'
    )


def test_everything_in_the_way_is_listed_at_once_and_nothing_is_changed(desk: Desk) -> None:
    """Where nobody can be asked, an apply stops before its first change and says how to go on."""
    obstruct(desk)
    world = desk.world.snapshot()
    with pytest.raises(SettingsError) as raised:
        desk.apply(Consent())
    for told in (
        "replace A matrix.example.org -> 192.0.2.1 by CNAME matrix.example.org",
        "--replace homeserver\n",
        "proxy A example.org -> 192.0.2.2, which is DNS only; its visitors will come through",
        "--replace apex or --leave apex",
        "replace route example.org/.well-known/matrix/* -> Worker other by route",
        "--replace route or --leave route",
        "replace secrets/tunnel.json, which is of another tunnel",
        "--replace credential",
    ):
        assert told in raised.value.message
    assert desk.world.snapshot() == world
    assert desk.state is None


def test_a_yes_counts_for_its_own_place_only(desk: Desk) -> None:
    """A yes for the homeserver's name is none for the apex."""
    obstruct(desk)
    with pytest.raises(SettingsError) as raised:
        desk.apply(Consent(replacing={"homeserver", "route", "credential"}))
    assert raised.value.message.count("--replace") == 1
    assert "--replace apex" in raised.value.message


def test_the_apex_can_be_left_as_it_is(desk: Desk) -> None:
    """A no to the proxy means no Worker and no route, is remembered, and can be taken back."""
    record = desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2")
    desk.apply(Consent(leaving={"apex"}))
    assert desk.zone.records[record["id"]]["proxied"] is False
    assert desk.account.scripts == {}
    assert desk.zone.routes == {}
    assert desk.list_pending(Consent()) == []
    assert desk.state
    client, access = desk.open()
    notes = advice.list_notes(desk.wanted, desk.look(client, access, desk.state), desk.state)
    assert "No Worker answers https://example.org/.well-known/matrix/" in "\n".join(notes)
    desk.apply(Consent(replacing={"apex"}))
    assert desk.zone.records[record["id"]]["proxied"] is True
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.zone.records[record["id"]] == record


def test_a_foreign_route_can_be_left_as_it_is(desk: Desk) -> None:
    """Who has a Worker of his own for discovery keeps it."""
    desk.world.add_script(desk.account, "other")
    route = desk.world.add_route(desk.zone, PATTERN, "other")
    desk.apply(Consent(leaving={"route"}))
    assert desk.zone.routes == {route["id"]: route}
    assert set(desk.account.scripts) == {"other"}
    assert desk.list_pending(Consent()) == []


def test_a_record_that_cannot_be_proxied_is_left(desk: Desk) -> None:
    """Then there is nothing to ask, and no Worker."""
    desk.world.add_record(desk.zone, "A", "example.org", "192.168.1.2", proxiable=False)
    desk.apply(Consent())
    assert desk.account.scripts == {}
    assert desk.list_pending(Consent()) == []


def test_a_proxied_apex_needs_nothing(desk: Desk) -> None:
    """One proxied record at a name is enough for Cloudflare, and for us."""
    desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2", proxied=True, ttl=1)
    desk.world.add_record(desk.zone, "AAAA", "example.org", "2001:db8::2")
    before = find(desk, "example.org")
    desk.apply(Consent())
    assert find(desk, "example.org") == before
    assert len(desk.zone.routes) == 1


def test_another_bundle_is_named_and_can_be_taken_over(desk: Desk) -> None:
    """A state that was lost: what it made is foreign, until its id is given."""
    desk.apply()
    assert desk.state
    lost, world = desk.state.id, desk.world.snapshot()
    desk.state = None
    with pytest.raises(SettingsError) as raised:
        desk.apply(Consent())
    assert f"(made by another bundle, {lost})" in raised.value.message
    client, access = desk.open()
    fresh = states.create("example.org")
    notes = "\n".join(advice.list_notes(desk.wanted, desk.look(client, access, fresh), fresh))
    assert f"apply --adopt {lost}" in notes
    desk.state = states.create("example.org", lost)
    desk.apply(Consent())
    assert {**desk.world.snapshot(), "tokens": 0} == {**world, "tokens": 0}
    with pytest.raises(SettingsError, match="is no bundle id"):
        states.create("example.org", "not an id")


def test_a_lost_state_does_not_matter_where_a_name_is_used_otherwise(desk: Desk) -> None:
    """A placeholder becomes the homeserver's record: one of another type, in one transaction."""
    desk.apply()
    assert desk.state
    desk.state = states.create("example.org", desk.state.id)
    rename(desk, "example.org")
    desk.apply(Consent())
    assert [(r["type"], r["name"]) for r in find(desk, "example.org")] == [("CNAME", "example.org")]
    assert desk.list_pending(Consent()) == []


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
def test_the_mark_of_another_bundle_is_recognized(text: str, stranger: str) -> None:
    """And nothing else is taken for one."""
    state = states.create("example.org", "aaaaaaaa")
    assert marks.find_stranger(text, state) == stranger


def test_what_stood_there_first_comes_back_after_repairs(desk: Desk) -> None:
    """A tunnel that somebody deletes is made anew; a destroy still knows the record before."""
    desk.world.add_record(desk.zone, "A", HOST, "192.0.2.1", comment="old")
    before = desk.world.snapshot()
    desk.apply()
    next(iter(desk.account.tunnels.values()))["deleted_at"] = "now"
    desk.apply(Consent())
    assert desk.list_pending() == []
    desk.destroy()
    assert desk.world.snapshot() == before


def test_a_tunnel_that_was_renamed_serves_and_is_not_deleted(desk: Desk) -> None:
    """It is known by its id as well; only its name says that it may be deleted."""
    desk.apply()
    (tunnel,) = desk.account.tunnels.values()
    tunnel["name"] = "my server"
    assert desk.list_pending() == []
    kept = [undoing.text for undoing in desk.destroy() if undoing.verb is Verb.KEEP]
    assert [text.partition(", now ")[2] for text in kept] == [
        "'my server': somebody changed it since"
    ]
    assert not tunnel["deleted_at"]


def test_a_placeholder_makes_room_for_a_record(desk: Desk) -> None:
    """When the server name gets a web site, visitors must not be led to 100:: as well."""
    desk.apply()
    website = desk.world.add_record(desk.zone, "AAAA", "example.org", "2001:db8::2", proxied=True)
    desk.apply(Consent())
    assert find(desk, "example.org") == [website]
    assert desk.list_pending() == []
    desk.destroy()
    assert list(desk.zone.records.values()) == [website]


Deed = Callable[[Desk], Any]
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
    "the token is revoked": lambda d: [d.world.grants.pop(g) for g in list(d.world.grants)[1:]],
    "the bundle loses its secrets": lambda d: d.secrets.clear(),
    "the rule is edited": lambda d: d.zone.ruleset["rules"][0].update(enabled=False),
    "the rule is deleted": lambda d: d.zone.ruleset["rules"].clear(),
}


@pytest.mark.parametrize("deed", REPAIRED)
def test_what_was_damaged_is_seen_and_repaired(desk: Desk, deed: str) -> None:
    """One apply puts right what somebody did to the bundle's own, and a destroy still restores."""
    before = desk.world.snapshot()
    desk.apply()
    REPAIRED[deed](desk)
    assert desk.list_pending() != []
    desk.apply()
    assert desk.list_pending() == []
    credential = desk.secrets[imports.TUNNEL]
    assert find(desk, HOST, "CNAME")[0]["content"].partition(".")[0] in credential
    desk.destroy()
    assert desk.world.snapshot() == before
    assert desk.fake.violations == []


KEPT: dict[str, Deed] = {
    "the CNAME leads elsewhere": lambda d: find(d, HOST)[0].update(content="www.example.net"),
    "the placeholder is a server": lambda d: find(d, "example.org")[0].update(content="2001:db8::9"),
    "the route leads elsewhere": lambda d: d.world.add_script(d.account, "other") and next(
        iter(d.zone.routes.values())
    ).update(script="other"),
    "HTTPS is off again": lambda d: d.zone.settings.update(always_use_https="off"),
    "bots are fought again": lambda d: d.zone.bots.update(fight_mode=True),
}  # fmt: skip


@pytest.mark.parametrize("deed", KEPT)
def test_a_destroy_keeps_what_somebody_changed_since(desk: Desk, deed: str) -> None:
    """It is told, and everything else goes away."""
    desk.apply()
    KEPT[deed](desk)
    records = {name: find(desk, name) for name in (HOST, "example.org")}
    done = desk.destroy()
    kept = [undoing.text for undoing in done if undoing.verb is Verb.KEEP]
    assert len(kept) == 1
    assert kept[0].endswith("somebody changed it since")
    remaining = {name: find(desk, name) for name in records}
    assert sum(map(bool, remaining.values())) == ("CNAME" in deed or "placeholder" in deed)
    assert all(not found or found == records[name] for name, found in remaining.items())
    assert all(t["deleted_at"] for t in desk.account.tunnels.values())


def test_a_destroy_stops_before_it_breaks_somebody_elses_route(desk: Desk) -> None:
    """A route that was added by hand keeps the Worker, and nothing at all is removed."""
    desk.apply()
    script = next(iter(desk.account.scripts))
    desk.world.add_route(desk.zone, "www.example.org/.well-known/matrix/*", script)
    world = desk.world.snapshot()
    with pytest.raises(BundleError, match=r"a route that was not made here: www\.example\.org"):
        desk.destroy()
    assert desk.world.snapshot() == world


def test_a_dead_credential_is_nobodys(desk: Desk) -> None:
    """After a destroy the secrets stay on disk; the next apply does not take them for another's."""
    desk.apply()
    desk.destroy()
    assert imports.TUNNEL in desk.secrets
    desk.apply(Consent())
    assert desk.list_pending(Consent()) == []


def test_a_credential_of_another_account_is_somebodys(desk: Desk) -> None:
    """Whether that tunnel lives cannot be seen, so it is taken to live."""
    obstruct(desk)
    credential = desk.secrets[imports.TUNNEL]
    desk.secrets[imports.TUNNEL] = credential.replace(desk.account.id, "f" * 32)
    assert any(c.part is Part.CREDENTIAL and c.verb == "replace" for c in desk.plan())


def test_what_gets_in_the_way_during_an_apply_stops_it(desk: Desk) -> None:
    """A yes is for what was shown, not for what came since."""
    rehearsal = copy.deepcopy(desk)
    rehearsal.apply()
    creating = next(n for n, line in enumerate(rehearsal.fake.log) if line.startswith("POST"))
    desk.strike({creating: "500 after"})
    real = desk.look

    def look(*arguments: Any) -> Any:
        if len(desk.fake.log) > creating:
            desk.world.add_record(desk.zone, "A", HOST, "192.0.2.7")
        return real(*arguments)

    desk.look = look  # type: ignore[method-assign]
    with pytest.raises(BundleError, match="nobody said yes"):
        desk.apply(Consent())
    assert [record["content"] for record in find(desk, HOST)] == ["192.0.2.7"]

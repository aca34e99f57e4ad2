"""What stands above, beside and before the names: told where it matters, and not destroyed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare import advice
from synapse_bundle.cloudflare.change import Condition, Part
from synapse_bundle.cloudflare.consent import Consent
from synapse_bundle.errors import SettingsError
from tests.cloudflare.desks import WANTED, Desk, open_desk

CHAT = replace(
    WANTED,
    server_name="chat.example.org",
    worker=replace(WANTED.worker, pattern="chat.example.org/.well-known/matrix/*"),
)


def look(desk: Desk) -> tuple[list[str], list[str]]:
    """Return what stops an apply, and what the operator should know."""
    client, access = desk.open()
    state = desk.read_state()
    found = desk.look(client, access, state)
    return (
        list(advice.list_obstacles(desk.wanted, found, desk.plan())),
        list(advice.list_notes(desk.wanted, found, state)),
    )


def list_names(desk: Desk) -> list[str]:
    """Return the names of the zone that have records."""
    return sorted(record["name"] for record in desk.zone.records.values())


def test_a_proxied_wildcard_leads_to_the_worker() -> None:
    """A record of its own would take the name away from what the wildcard leads to."""
    desk = open_desk(wanted=CHAT)
    desk.world.add_record(desk.zone, "A", "*.example.org", "192.0.2.2", proxied=True)
    desk.world.add_record(desk.zone, "A", "matrix.example.org", "192.0.2.3")
    desk.apply(Consent(replacing={"homeserver"}))
    assert list_names(desk) == ["*.example.org", "matrix.example.org"]
    assert len(desk.zone.routes) == 1
    assert desk.list_pending(Consent()) == []


def test_a_wildcard_that_is_dns_only_needs_a_yes() -> None:
    """The site behind it would be gone at that name."""
    desk = open_desk(wanted=CHAT)
    desk.world.add_record(desk.zone, "A", "*.example.org", "192.0.2.2")
    before = desk.world.snapshot()
    with pytest.raises(SettingsError) as raised:
        desk.apply(Consent(replacing={"homeserver"}))
    assert "a site behind the wildcard is no longer reached under chat" in raised.value.message
    assert "--replace apex or --leave apex" in raised.value.message
    assert desk.world.snapshot() == before
    desk.apply(Consent(replacing={"homeserver"}, leaving={"apex"}))
    assert list_names(desk) == ["*.example.org", "matrix.example.org"]
    assert desk.account.scripts == {}
    desk.apply(Consent(replacing={"homeserver", "apex"}))
    assert "chat.example.org" in list_names(desk)
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.world.snapshot() == before


def test_the_homeserver_takes_a_name_from_a_wildcard_with_a_yes() -> None:
    """Whatever answers there now is somebody's."""
    desk = open_desk()
    desk.world.add_record(desk.zone, "CNAME", "*.example.org", "www.example.net")
    before = desk.world.snapshot()
    with pytest.raises(SettingsError, match="--replace homeserver"):
        desk.apply(Consent())
    desk.apply()
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.world.snapshot() == before


@pytest.mark.parametrize("name", ["chat.example.org", "a.chat.example.org"])
def test_a_wildcard_that_does_not_answer_is_in_nobodys_way(name: str) -> None:
    """A name that exists, or one above it, hides the wildcard (RFC 4592)."""
    desk = open_desk(wanted=replace(CHAT, server_name=name))
    desk.world.add_record(desk.zone, "A", "*.example.org", "192.0.2.2", proxied=True)
    desk.world.add_record(desk.zone, "TXT", "chat.example.org", "hello")
    placeholders = [c for c in desk.plan() if c.part is Part.PLACEHOLDER]
    assert [c.condition for c in placeholders] == [Condition.MISSING]


@pytest.mark.parametrize("needy", [True, False])
def test_an_account_without_workers_gets_its_name_first(*, needy: bool) -> None:
    """Whether Cloudflare insists on one for a Worker with a route alone or not."""
    desk = open_desk()
    desk.account.subdomain, desk.world.needy = False, needy
    before = desk.world.snapshot()
    (change,) = (c for c in desk.plan() if c.part == "subdomain")
    assert change.verb == "register"
    assert ".workers.dev for the account, which has no such name yet" in change.text
    desk.apply(Consent())
    assert desk.account.subdomain
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.world.snapshot() == before


def test_the_apex_question_says_what_ends() -> None:
    """Only web traffic passes a proxied name."""
    desk = open_desk()
    desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2")
    (change,) = (c for c in desk.plan() if c.part is Part.APEX)
    for words in ("SSH, IMAP, FTP", "Flexible"):
        assert words in change.text


def test_the_homeserver_question_says_that_the_site_goes() -> None:
    """Above all where the homeserver has the domain's own name."""
    desk = open_desk(wanted=replace(WANTED, homeserver="example.org"))
    desk.world.add_record(desk.zone, "A", "example.org", "192.0.2.2")
    (change,) = (c for c in desk.plan() if c.part is Part.HOMESERVER)
    assert "the domain's web site, or SSH or mail, is no longer reached" in change.text


def test_what_keeps_the_homeserver_from_being_reached_is_an_obstacle() -> None:
    """Delegated above the name, paused, held by a load balancer, without a certificate."""
    desk = open_desk(wanted=replace(WANTED, homeserver="matrix.chat.example.org"))
    desk.zone.paused = True
    desk.world.add_record(desk.zone, "NS", "chat.example.org", "ns.example.net")
    desk.zone.balancers = [{"name": "matrix.chat.example.org", "enabled": True}]
    desk.zone.packs = [{"hosts": ["example.org", "*.example.org"]}]
    reading = ("Load Balancers Read", "SSL and Certificates Read")
    desk.grant.allowed |= {(name, desk.zone.id) for name in reading}
    told = "\n".join(look(desk)[0])
    for words in (
        "NS chat.example.org -> ns.example.net: the name is delegated elsewhere",
        "example.org is paused, and nothing is proxied",
        "A load balancer has the name matrix.chat.example.org",
        "certificate does not cover matrix.chat.example.org",
    ):
        assert words in told


@pytest.mark.parametrize("total", [True, False])
def test_a_certificate_that_was_ordered_is_seen(*, total: bool) -> None:
    """One for the name, or Total TLS, which orders them by itself."""
    desk = open_desk(wanted=replace(WANTED, homeserver="matrix.chat.example.org"))
    desk.grant.allowed.add(("SSL and Certificates Read", desk.zone.id))
    desk.zone.total_tls = total
    desk.zone.packs = [] if total else [{"hosts": ["*.chat.example.org"]}]
    obstacles, notes = look(desk)
    assert "certificate" not in "\n".join(obstacles + notes)


def test_what_keeps_the_worker_from_being_asked_is_a_note() -> None:
    """A server name that is too deep, delegated, or in a zone of another type."""
    desk = open_desk(wanted=replace(CHAT, server_name="a.chat.example.org"))
    desk.world.add_record(desk.zone, "NS", "chat.example.org", "ns.example.net")
    notes = "\n".join(look(desk)[1])
    assert "certificate does not cover a.chat.example.org" in notes
    assert "chat.example.org -> ns.example.net: the name is delegated elsewhere, so no" in notes
    other = desk.world.add_zone("example.net", desk.account, type="partial", paused=True)
    desk.grant.allowed |= {(n, other.id) for n, at in desk.grant.allowed if at == desk.zone.id}
    worker = replace(WANTED.worker, pattern="example.net/.well-known/matrix/*")
    desk.wanted = replace(WANTED, server_name="example.net", worker=worker)
    notes = "\n".join(look(desk)[1])
    assert "example.net is a partial zone: the Worker is asked only if" in notes
    assert "example.net is paused" in notes


def test_a_route_with_its_scheme_is_in_the_same_place() -> None:
    """It is more exact than ours; it is replaced with a yes, and comes back as it was."""
    desk = open_desk()
    desk.world.add_script(desk.account, "other")
    desk.world.add_route(desk.zone, "https://example.org/.well-known/matrix/*", "other")
    before = desk.world.snapshot()
    with pytest.raises(SettingsError, match="--replace route"):
        desk.apply(Consent())
    desk.apply()
    (route,) = desk.zone.routes.values()
    assert route["pattern"] == "example.org/.well-known/matrix/*"
    assert desk.list_pending(Consent()) == []
    desk.destroy()
    assert desk.world.snapshot() == before


def test_a_redirect_before_the_worker_is_named() -> None:
    """If it can be read; one that is switched off, or elsewhere, is not."""
    desk = open_desk()
    desk.zone.redirect_rules = [
        {"id": "1", "description": "to www", "enabled": True},
        {"id": "2", "description": "off", "enabled": False},
    ]
    desk.zone.page_rules = [
        {"targets": [{"constraint": {"value": pattern}}], "actions": [{"id": "forwarding_url"}]}
        for pattern in ("example.org/*", "www.example.org/*")
    ]
    assert "redirect" not in "\n".join(look(desk)[1])
    reading = ("Dynamic URL Redirects Read", "Page Rules Read")
    desk.grant.allowed |= {(name, desk.zone.id) for name in reading}
    told = [note.partition(" may redirect")[0] for note in look(desk)[1] if "redirect" in note]
    assert told == ["the redirect rule 'to www'", "the page rule example.org/*"]


def test_private_routes_of_the_tunnel_are_named() -> None:
    """They lead the account into the network of the machine; a destroy says that they go as well."""
    desk = open_desk()
    desk.apply()
    assert "private" not in "\n".join(look(desk)[1])
    (tunnel,) = desk.account.tunnels.values()
    desk.account.private = [
        {"network": "192.168.0.0/16", "tunnel_id": tunnel["id"]},
        {"hostname": "nas.home", "tunnel_id": tunnel["id"]},
        {"network": "10.0.0.0/8", "tunnel_id": "another"},
    ]
    told = "\n".join(look(desk)[1])
    assert "The tunnel has private routes (192.168.0.0/16, nas.home)" in told
    texts = [undoing.text for undoing in desk.destroy()]
    assert [t for t in texts if t.endswith("its private routes 192.168.0.0/16, nas.home")]
    assert [route["network"] for route in desk.account.private] == ["10.0.0.0/8"]


def test_a_tunnel_without_a_list_of_connections_is_healthy_all_the_same() -> None:
    """Lists of tunnels will have none; nobody is told of 0 connections."""
    desk = open_desk()
    desk.apply()
    (tunnel,) = desk.account.tunnels.values()
    tunnel["connections"] = [{"id": "a"}]
    desk.world.quiet = True
    (change,) = (c for c in desk.plan() if c.part is Part.TUNNEL)
    assert change.text == "tunnel for example.org (healthy)"

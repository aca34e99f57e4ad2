"""What is above, beside and before the names: reported if it matters, and not destroyed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.changes import Condition
from synapse_bundle.errors import SettingsError
from tests.cloudflare.simulation import DESIRED, Simulation, simulate

CHAT = replace(
    DESIRED,
    server_name="chat.example.org",
    worker=replace(DESIRED.worker, pattern="chat.example.org/.well-known/matrix/*"),
)


def look(simulation: Simulation) -> tuple[list[str], list[str]]:
    """Return what stops an apply, and what the operator should know."""
    return simulation.list_obstacles(), simulation.list_notes()


def list_names(simulation: Simulation) -> list[str]:
    """Return the names of the zone that have records."""
    return sorted(record["name"] for record in simulation.zone.records.values())


def test_a_proxied_wildcard_leads_to_the_worker() -> None:
    """A record of its own would take the name away from what the wildcard leads to."""
    simulation = simulate(desired=CHAT)
    simulation.store.add_record(simulation.zone, "A", "*.example.org", "192.0.2.2", proxied=True)
    simulation.store.add_record(simulation.zone, "A", "matrix.example.org", "192.0.2.3")
    simulation.apply(Approval(replacing={"homeserver"}))
    assert list_names(simulation) == ["*.example.org", "matrix.example.org"]
    assert len(simulation.zone.routes) == 1
    assert simulation.list_pending(Approval()) == []


def test_a_wildcard_that_is_dns_only_requires_approval() -> None:
    """The site behind it would no longer be reached at that name."""
    simulation = simulate(desired=CHAT)
    simulation.store.add_record(simulation.zone, "A", "*.example.org", "192.0.2.2")
    before = simulation.store.snapshot()
    with pytest.raises(SettingsError) as raised:
        simulation.apply(Approval(replacing={"homeserver"}))
    assert "a site behind the wildcard is no longer reached under chat" in raised.value.message
    assert "--replace apex or --leave apex" in raised.value.message
    assert simulation.store.snapshot() == before
    simulation.apply(Approval(replacing={"homeserver"}, leaving={"apex"}))
    assert list_names(simulation) == ["*.example.org", "matrix.example.org"]
    assert simulation.account.scripts == {}
    simulation.apply(Approval(replacing={"homeserver", "apex"}))
    assert "chat.example.org" in list_names(simulation)
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_the_homeserver_takes_a_name_from_a_wildcard_with_approval() -> None:
    """What answers there now is foreign."""
    simulation = simulate()
    simulation.store.add_record(simulation.zone, "CNAME", "*.example.org", "www.example.net")
    before = simulation.store.snapshot()
    with pytest.raises(SettingsError, match="--replace homeserver"):
        simulation.apply(Approval())
    simulation.apply()
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


@pytest.mark.parametrize("name", ["chat.example.org", "a.chat.example.org"])
def test_a_wildcard_that_does_not_answer_is_ignored(name: str) -> None:
    """A name that exists, or one above it, hides the wildcard (RFC 4592)."""
    simulation = simulate(desired=replace(CHAT, server_name=name))
    simulation.store.add_record(simulation.zone, "A", "*.example.org", "192.0.2.2", proxied=True)
    simulation.store.add_record(simulation.zone, "TXT", "chat.example.org", "hello")
    placeholders = [c for c in simulation.plan() if c.resource == "placeholder"]
    assert [c.condition for c in placeholders] == [Condition.MISSING]


@pytest.mark.parametrize("needy", [True, False])
def test_an_account_without_workers_gets_its_name_first(*, needy: bool) -> None:
    """Whether Cloudflare insists on one for a Worker with a route alone or not."""
    simulation = simulate()
    simulation.account.subdomain, simulation.store.needy = False, needy
    before = simulation.store.snapshot()
    (change,) = (c for c in simulation.plan() if c.resource == "subdomain")
    assert change.verb == "register"
    assert ".workers.dev for the account, which has no such subdomain yet" in change.text
    simulation.apply(Approval())
    assert simulation.account.subdomain
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_the_apex_question_says_what_ends() -> None:
    """Only web traffic passes a proxied name."""
    simulation = simulate()
    simulation.store.add_record(simulation.zone, "A", "example.org", "192.0.2.2")
    (change,) = (c for c in simulation.plan() if c.resource == "apex")
    for words in ("SSH, IMAP and FTP stop working", "Flexible"):
        assert words in change.text


def test_the_homeserver_question_says_that_the_site_goes() -> None:
    """Above all where the homeserver has the domain's own name."""
    simulation = simulate(desired=replace(DESIRED, homeserver="example.org"))
    simulation.store.add_record(simulation.zone, "A", "example.org", "192.0.2.2")
    (change,) = (c for c in simulation.plan() if c.resource == "homeserver")
    assert "the domain's web site, or SSH or mail, is no longer reached" in change.text


def test_what_keeps_the_homeserver_from_being_reached_is_an_obstacle() -> None:
    """Delegated above the name, paused, held by a load balancer, without a certificate."""
    simulation = simulate(desired=replace(DESIRED, homeserver="matrix.chat.example.org"))
    simulation.zone.paused = True
    simulation.store.add_record(simulation.zone, "NS", "chat.example.org", "ns.example.net")
    simulation.zone.balancers = [{"name": "matrix.chat.example.org", "enabled": True}]
    simulation.zone.packs = [{"hosts": ["example.org", "*.example.org"]}]
    reading = ("Load Balancers Read", "SSL and Certificates Read")
    simulation.grant.allowed |= {(name, simulation.zone.id) for name in reading}
    reported = "\n".join(look(simulation)[0])
    for words in (
        "NS chat.example.org -> ns.example.net: the name is delegated elsewhere",
        "example.org is paused, and nothing is proxied",
        "A load balancer has the name matrix.chat.example.org",
        "certificate does not cover matrix.chat.example.org",
    ):
        assert words in reported


@pytest.mark.parametrize("total", [True, False])
def test_a_certificate_that_was_ordered_is_seen(*, total: bool) -> None:
    """One for the name, or Total TLS, which orders them by itself."""
    simulation = simulate(desired=replace(DESIRED, homeserver="matrix.chat.example.org"))
    simulation.grant.allowed.add(("SSL and Certificates Read", simulation.zone.id))
    simulation.zone.total_tls = total
    simulation.zone.packs = [] if total else [{"hosts": ["*.chat.example.org"]}]
    obstacles, notes = look(simulation)
    assert "certificate" not in "\n".join(obstacles + notes)


def test_what_keeps_the_worker_from_being_asked_is_a_note() -> None:
    """A server name that is too deep, delegated, or in a zone of another type."""
    simulation = simulate(desired=replace(CHAT, server_name="a.chat.example.org"))
    simulation.store.add_record(simulation.zone, "NS", "chat.example.org", "ns.example.net")
    notes = "\n".join(look(simulation)[1])
    assert "certificate does not cover a.chat.example.org" in notes
    assert (
        "chat.example.org -> ns.example.net: the name is delegated elsewhere, so the Worker"
        in notes
    )
    other = simulation.store.add_zone(
        "example.net", simulation.account, type="partial", paused=True
    )
    simulation.grant.allowed |= {
        (n, other.id) for n, at in simulation.grant.allowed if at == simulation.zone.id
    }
    worker = replace(DESIRED.worker, pattern="example.net/.well-known/matrix/*")
    simulation.desired = replace(DESIRED, server_name="example.net", worker=worker)
    notes = "\n".join(look(simulation)[1])
    assert "example.net is a partial zone: the Worker is asked only if" in notes
    assert "example.net is paused" in notes


def test_a_route_with_its_scheme_is_in_the_same_place() -> None:
    """It is more specific than ours; it is replaced with approval, and restored as it was."""
    simulation = simulate()
    simulation.store.add_script(simulation.account, "other")
    simulation.store.add_route(simulation.zone, "https://example.org/.well-known/matrix/*", "other")
    before = simulation.store.snapshot()
    with pytest.raises(SettingsError, match="--replace route"):
        simulation.apply(Approval())
    simulation.apply()
    (route,) = simulation.zone.routes.values()
    assert route["pattern"] == "example.org/.well-known/matrix/*"
    assert simulation.list_pending(Approval()) == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_a_redirect_before_the_worker_is_named() -> None:
    """If it can be read; one that is switched off, or elsewhere, is not."""
    simulation = simulate()
    simulation.zone.redirect_rules = [
        {"id": "1", "description": "to www", "enabled": True},
        {"id": "2", "description": "off", "enabled": False},
    ]
    simulation.zone.page_rules = [
        {"targets": [{"constraint": {"value": pattern}}], "actions": [{"id": "forwarding_url"}]}
        for pattern in ("example.org/*", "www.example.org/*")
    ]
    assert "redirect" not in "\n".join(look(simulation)[1])
    reading = ("Dynamic URL Redirects Read", "Page Rules Read")
    simulation.grant.allowed |= {(name, simulation.zone.id) for name in reading}
    reported = [
        note.partition(" may redirect")[0] for note in look(simulation)[1] if "redirect" in note
    ]
    assert reported == ["the redirect rule 'to www'", "the page rule example.org/*"]


def test_private_routes_of_the_tunnel_are_named() -> None:
    """They lead the account into the network of the machine; a destroy says that it deletes them."""
    simulation = simulate()
    simulation.apply()
    assert "private" not in "\n".join(look(simulation)[1])
    (tunnel,) = simulation.account.tunnels.values()
    simulation.account.private = [
        {"network": "192.168.0.0/16", "tunnel_id": tunnel["id"]},
        {"hostname": "nas.home", "tunnel_id": tunnel["id"]},
        {"network": "10.0.0.0/8", "tunnel_id": "another"},
    ]
    reported = "\n".join(look(simulation)[1])
    assert "The tunnel has private routes (192.168.0.0/16, nas.home)" in reported
    texts = [removal.text for removal in simulation.destroy()]
    assert [t for t in texts if t.endswith("its private routes 192.168.0.0/16, nas.home")]
    assert [route["network"] for route in simulation.account.private] == ["10.0.0.0/8"]


def test_a_tunnel_without_a_list_of_connections_is_healthy_all_the_same() -> None:
    """Lists of tunnels will have none; 0 connections are not mentioned."""
    simulation = simulate()
    simulation.apply()
    (tunnel,) = simulation.account.tunnels.values()
    tunnel["connections"] = [{"id": "a"}]
    simulation.store.quiet = True
    (change,) = (c for c in simulation.plan() if c.resource == "tunnel")
    assert change.text == "tunnel for example.org (healthy)"

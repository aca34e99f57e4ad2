"""What Cloudflare refuses is reported in its own words if no permission is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from synapse_bundle.cloudflare import permissions
from synapse_bundle.cloudflare.changes import Condition
from synapse_bundle.cloudflare.refusals import CloudflareError
from synapse_bundle.cloudflare.removal import RemovalAction
from synapse_bundle.credentials import file_names
from synapse_bundle.errors import SettingsError
from tests.cloudflare.simulation import Simulation, simulate
from tests.support.fake_cloudflare.store import Grant


@pytest.fixture
def simulation() -> Simulation:
    """A simulation at a new account."""
    return simulate()


def find_helper_token(simulation: Simulation) -> Grant:
    """Return the token that was created for the helper."""
    return next(g for g in simulation.store.grants.values() if g.name.startswith("synapse-bundle "))


def test_a_refusal_that_no_permission_would_change_has_cloudflares_words(
    simulation: Simulation,
) -> None:
    """Such as that of DNS in free top-level domains."""
    words = "You cannot use this API for domains with a .tk TLD"
    simulation.zone.refusals = {"DELETE dns_records": (403, 1038, words)}
    with pytest.raises(SettingsError) as raised:
        simulation.plan()
    assert f"{words} (code 1038); the request was for Zone → DNS: Edit" in raised.value.message
    assert "lacks permissions" not in raised.value.message


def test_a_token_for_other_addresses_is_distinguished(simulation: Simulation) -> None:
    """It has the code of a missing permission."""
    simulation.grant.location = "203.0.113.9"
    with pytest.raises(SettingsError) as raised:
        simulation.plan()
    assert "Cannot use the access token from location: 192.0.2.1" in raised.value.message
    assert "Client IP Address Filtering" in raised.value.message


@pytest.mark.parametrize("owner", ["user", "account"])
def test_an_unknown_id_may_be_answered_like_a_missing_permission(owner: str) -> None:
    """Which is found out by asking in another way first."""
    simulation = simulate(owner)
    simulation.store.shy = True
    simulation.apply()
    assert simulation.list_pending() == []
    simulation.destroy()
    assert simulation.account.tunnels
    assert all(tunnel["deleted_at"] for tunnel in simulation.account.tunnels.values())


def test_tokens_that_may_not_be_listed_may_not_be_made(simulation: Simulation) -> None:
    """Even if neither an unknown id nor an empty form shows it."""
    simulation.store.shy = simulation.store.hasty = True
    simulation.grant.allowed.remove(("API Tokens Write", "user"))
    assert [c.condition for c in simulation.plan() if c.resource == "token"] == [Condition.LEFT]


def test_a_missing_permission_is_found_there_too(simulation: Simulation) -> None:
    """To read is not to write."""
    simulation.store.shy = True
    place = ("API Tokens Write", "user")
    simulation.grant.allowed.remove(place)
    simulation.grant.allowed.add(("API Tokens Read", "user"))
    assert [c.condition for c in simulation.plan() if c.resource == "token"] == [Condition.LEFT]
    place = ("Cloudflare Tunnel Write", simulation.account.id)
    simulation.grant.allowed.remove(place)
    simulation.grant.allowed.add(("Cloudflare Tunnel Read", simulation.account.id))
    with pytest.raises(SettingsError, match="Account → Cloudflare Tunnel: Edit"):
        simulation.plan()


def test_both_names_of_a_permission_and_a_filled_form_are_shown(simulation: Simulation) -> None:
    """The dashboard has two generations of them; the link has none that it might not know."""
    simulation.grant.allowed.remove(("Cloudflare Tunnel Write", simulation.account.id))
    with pytest.raises(SettingsError) as raised:
        simulation.plan()
    for words in ('"Write"', '"Cloudflare One Connector: cloudflared"', permissions.TUNNEL):
        assert words in raised.value.message
    link = next(w for w in raised.value.message.split() if "permissionGroupKeys" in w)
    keys = json.loads(parse_qs(link.removesuffix(":"))["permissionGroupKeys"][0])
    assert {key["key"]: key["type"] for key in keys} == {
        "dns": "edit",
        "workers_scripts": "edit",
        "workers_routes": "edit",
        "zone": "read",
        "zone_settings": "edit",
        "account_api_tokens": "edit",
    }


@pytest.mark.parametrize("status", ["expired", "disabled", "revoked"])
def test_a_token_that_ended_is_created_again(simulation: Simulation, status: str) -> None:
    """A new value would not bring it back to life."""
    simulation.apply()
    old = find_helper_token(simulation)
    old.status = status
    simulation.apply()
    new = find_helper_token(simulation)
    assert (new.status, new.id != old.id) == ("active", True)
    assert simulation.secrets[file_names.TOKEN] == new.value
    assert len(simulation.store.grants) == 2
    assert simulation.list_pending() == []


def test_too_many_tokens_are_reported_before_anything_else_is_changed(
    simulation: Simulation,
) -> None:
    """With what to do; nothing leads into a tunnel whose bundle could not be written."""
    simulation.store.quota = 1
    before = simulation.store.snapshot()
    with pytest.raises(CloudflareError) as raised:
        simulation.apply()
    assert "maximum number of tokens" in raised.value.message
    assert "--dns-token-file FILE" in raised.value.message
    assert simulation.store.snapshot() == before


def test_another_users_token_does_not_report_the_helpers_as_missing(simulation: Simulation) -> None:
    """It cannot see it; the one in the bundle is asked itself."""
    before = simulation.store.snapshot()
    simulation.apply()
    first = simulation.grant
    simulation.grant = replace(first, value="another_" * 6, id="e" * 32, user="another")
    simulation.store.grants[simulation.grant.id] = simulation.grant
    (skipped,) = (
        removal for removal in simulation.destroy() if removal.action is RemovalAction.SKIP
    )
    assert "it works and belongs to another user" in skipped.text
    assert simulation.state
    assert [entry.type for entry in simulation.state.entries] == ["token"]
    del simulation.store.grants[simulation.grant.id]
    simulation.grant = first
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_a_worker_that_is_refused_without_a_subdomain_has_advice(simulation: Simulation) -> None:
    """Where the account's name could not be seen, or not be registered."""
    simulation.account.subdomain = False
    simulation.fake.broken = ("/workers/subdomain",)
    with pytest.raises(CloudflareError, match="workers-and-pages once, which creates one"):
        simulation.apply()


def test_an_upload_returns_its_own_etag(simulation: Simulation) -> None:
    """The list of Workers, which may be behind, is not asked for it."""
    simulation.apply()
    asked = [line for line in simulation.fake.log if "/workers/scripts" in line]
    upload = next(n for n, line in enumerate(asked) if line.startswith("PUT"))
    assert [line.partition(" ")[0] for line in asked[upload + 1 :]] == ["POST"]
    assert simulation.list_pending() == []

"""What Cloudflare refuses is told by its own words where no permission is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from synapse_bundle.cloudflare import permissions
from synapse_bundle.cloudflare.change import Condition, Part
from synapse_bundle.cloudflare.client import CloudflareError
from synapse_bundle.cloudflare.state import Kind
from synapse_bundle.cloudflare.undoing import Verb
from synapse_bundle.credentials import file_names as imports
from synapse_bundle.errors import SettingsError
from tests.cloudflare.desks import Desk, open_desk
from tests.cloudflare.world import Grant


@pytest.fixture
def desk() -> Desk:
    """A desk at a new account."""
    return open_desk()


def find_minted(desk: Desk) -> Grant:
    """Return the token that was made for the helper."""
    return next(g for g in desk.world.grants.values() if g.name.startswith("synapse-bundle "))


def test_a_refusal_that_no_permission_would_change_has_cloudflares_words(desk: Desk) -> None:
    """Such as that of DNS in free top-level domains."""
    words = "You cannot use this API for domains with a .tk TLD"
    desk.zone.refusals = {"DELETE dns_records": (403, 1038, words)}
    with pytest.raises(SettingsError) as raised:
        desk.plan()
    assert f"{words} (code 1038); it was asked for Zone → DNS: Edit" in raised.value.message
    assert "lacks permissions" not in raised.value.message


def test_a_token_for_other_addresses_is_told_apart(desk: Desk) -> None:
    """It has the code of a missing permission."""
    desk.grant.location = "203.0.113.9"
    with pytest.raises(SettingsError) as raised:
        desk.plan()
    assert "Cannot use the access token from location: 192.0.2.1" in raised.value.message
    assert "Client IP Address Filtering" in raised.value.message


@pytest.mark.parametrize("owner", ["user", "account"])
def test_an_unknown_id_may_be_answered_like_a_missing_permission(owner: str) -> None:
    """Which is found out by asking in another way before it is told."""
    desk = open_desk(owner)
    desk.world.shy = True
    desk.apply()
    assert desk.list_pending() == []
    desk.destroy()
    assert desk.account.tunnels
    assert all(tunnel["deleted_at"] for tunnel in desk.account.tunnels.values())


def test_tokens_that_may_not_be_listed_may_not_be_made(desk: Desk) -> None:
    """Even where neither an unknown id nor an empty form tells."""
    desk.world.shy = desk.world.hasty = True
    desk.grant.allowed.remove(("API Tokens Write", "user"))
    assert [c.condition for c in desk.plan() if c.part is Part.TOKEN] == [Condition.LEFT]


def test_a_missing_permission_is_found_there_too(desk: Desk) -> None:
    """To read is not to write."""
    desk.world.shy = True
    place = ("API Tokens Write", "user")
    desk.grant.allowed.remove(place)
    desk.grant.allowed.add(("API Tokens Read", "user"))
    assert [c.condition for c in desk.plan() if c.part is Part.TOKEN] == [Condition.LEFT]
    place = ("Cloudflare Tunnel Write", desk.account.id)
    desk.grant.allowed.remove(place)
    desk.grant.allowed.add(("Cloudflare Tunnel Read", desk.account.id))
    with pytest.raises(SettingsError, match="Account → Cloudflare Tunnel: Edit"):
        desk.plan()


def test_both_names_of_a_permission_and_a_filled_form_are_told(desk: Desk) -> None:
    """The dashboard has two generations of them; the link has none that it might not know."""
    desk.grant.allowed.remove(("Cloudflare Tunnel Write", desk.account.id))
    with pytest.raises(SettingsError) as raised:
        desk.plan()
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
def test_a_token_that_ended_is_made_anew(desk: Desk, status: str) -> None:
    """A new value would not bring it back to life."""
    desk.apply()
    old = find_minted(desk)
    old.status = status
    desk.apply()
    new = find_minted(desk)
    assert (new.status, new.id != old.id) == ("active", True)
    assert desk.secrets[imports.TOKEN] == new.value
    assert len(desk.world.grants) == 2
    assert desk.list_pending() == []


def test_too_many_tokens_are_told_before_anything_else_is_changed(desk: Desk) -> None:
    """With the ways on; nothing leads into a tunnel whose bundle could not be written."""
    desk.world.quota = 1
    before = desk.world.snapshot()
    with pytest.raises(CloudflareError) as raised:
        desk.apply()
    assert "maximum number of tokens" in raised.value.message
    assert "--dns-token-file FILE" in raised.value.message
    assert desk.world.snapshot() == before


def test_another_users_token_does_not_say_that_the_helpers_is_gone(desk: Desk) -> None:
    """It cannot see it; the one in the bundle is asked itself."""
    before = desk.world.snapshot()
    desk.apply()
    first = desk.grant
    desk.grant = replace(first, value="another_" * 6, id="e" * 32, user="another")
    desk.world.grants[desk.grant.id] = desk.grant
    (skipped,) = (undoing for undoing in desk.destroy() if undoing.verb is Verb.SKIP)
    assert "it is alive and belongs to another user" in skipped.text
    assert desk.state
    assert [made.kind for made in desk.state.made] == [Kind.TOKEN]
    del desk.world.grants[desk.grant.id]
    desk.grant = first
    desk.destroy()
    assert desk.world.snapshot() == before


def test_a_worker_that_is_refused_for_want_of_a_name_has_the_way_on(desk: Desk) -> None:
    """Where the account's name could not be seen, or not be registered."""
    desk.account.subdomain = False
    desk.fake.broken = ("/workers/subdomain",)
    with pytest.raises(CloudflareError, match="workers-and-pages once, which makes one"):
        desk.apply()


def test_an_upload_tells_its_own_content(desk: Desk) -> None:
    """The list of Workers, which may be behind, is not asked for it."""
    desk.apply()
    asked = [line for line in desk.fake.log if "/workers/scripts" in line]
    upload = next(n for n, line in enumerate(asked) if line.startswith("PUT"))
    assert [line.partition(" ")[0] for line in asked[upload + 1 :]] == ["POST"]
    assert desk.list_pending() == []

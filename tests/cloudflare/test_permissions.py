"""What a token may do is known before anything is changed; what it makes may do almost nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare import advice
from synapse_bundle.cloudflare.change import Condition, Part
from synapse_bundle.cloudflare.consent import Consent
from synapse_bundle.cloudflare.state import Kind
from synapse_bundle.credentials import file_names as imports
from synapse_bundle.errors import SettingsError
from tests.cloudflare.desks import EVERYTHING, FREE, Desk, open_desk
from tests.cloudflare.world import Grant

NAMES = {
    "Cloudflare Tunnel Write": "Account → Cloudflare Tunnel: Edit",
    "Workers Scripts Write": "Account → Workers Scripts: Edit",
    "DNS Write": "Zone → DNS: Edit",
    "Workers Routes Write": "Zone → Workers Routes: Edit",
}
OPTIONAL = {
    "Zone Settings Write": "Zone → Zone Settings: Edit",
    "Bot Management Write": "Zone → Bot Management: Edit",
    "Config Settings Write": "Zone → Config Rules: Edit",
}


@pytest.fixture
def desk() -> Desk:
    """A desk at a new account."""
    return open_desk()


def withdraw(desk: Desk, *permissions: str) -> None:
    """Take permissions from the token; what can be read without being written stays readable."""
    for permission, resource in list(desk.grant.allowed):
        if permission in permissions:
            desk.grant.allowed.discard((permission, resource))
            desk.grant.allowed.add((permission.replace("Write", "Read"), resource))


@pytest.mark.parametrize("permission", NAMES)
def test_each_missing_permission_is_named_as_the_dashboard_names_it(
    desk: Desk, permission: str
) -> None:
    """Reading is not enough, and nothing was changed when it is told."""
    withdraw(desk, permission)
    world = desk.world.snapshot()
    with pytest.raises(SettingsError) as raised:
        desk.apply()
    assert raised.value.message.splitlines()[1:] == [f"  {NAMES[permission]}"]
    assert desk.world.snapshot() == world
    assert desk.state is None


def test_all_missing_permissions_are_named_at_once(desk: Desk) -> None:
    """Nobody has to come back for the next one."""
    withdraw(desk, *NAMES)
    with pytest.raises(SettingsError) as raised:
        desk.plan()
    assert {line.strip() for line in raised.value.message.splitlines()[1:]} == set(NAMES.values())


@pytest.mark.parametrize("permission", OPTIONAL)
def test_a_setting_that_may_not_be_read_is_a_note(desk: Desk, permission: str) -> None:
    """Everything else is done."""
    desk.grant.allowed -= {(permission, desk.zone.id)}
    desk.apply()
    assert desk.list_pending() == []
    client, access = desk.open()
    assert desk.state
    notes = advice.list_notes(desk.wanted, desk.look(client, access, desk.state), desk.state)
    assert any(OPTIONAL[permission] in note for note in notes)


def test_a_setting_that_may_not_be_written_fails_nothing_else(desk: Desk) -> None:
    """It is told with the permission, and the rest of the apply is done."""
    withdraw(desk, "Zone Settings Write", "Bot Management Write")
    desk.apply()
    for name in ("Zone Settings", "Bot Management"):
        assert any(f"the token lacks Zone → {name}: Edit" in line for line in desk.told)
    assert desk.zone.bots["fight_mode"] is True
    assert imports.TUNNEL in desk.secrets
    assert desk.state
    assert [m for m in desk.state.made if m.kind is Kind.SETTING] == []
    desk.destroy()
    assert desk.zone.bots["fight_mode"] is True


@pytest.mark.parametrize("value", ["revoked_" * 6, "cfut_" + "x" * 40, "cfat_" + "x" * 40])
def test_a_token_that_is_not_accepted_is_told_apart(desk: Desk, value: str) -> None:
    """From one that lacks something."""
    desk.grant = replace(desk.grant, value=value)
    with pytest.raises(SettingsError, match="does not accept this token: it is expired") as raised:
        desk.plan()
    assert value not in raised.value.message


def test_a_token_that_is_disabled_is_not_accepted(desk: Desk) -> None:
    """Its status is looked at."""
    desk.grant.status = "disabled"
    with pytest.raises(SettingsError, match="does not accept this token"):
        desk.plan()


@pytest.mark.parametrize("owner", ["user", "account"])
def test_a_token_for_another_zone_is_told(owner: str) -> None:
    """A valid token whose zone resources do not include the domain."""
    desk = open_desk(owner)
    desk.wanted = replace(desk.wanted, server_name="example.net", homeserver="m.example.net")
    with pytest.raises(SettingsError, match=r"shows no zone for m\.example\.net") as raised:
        desk.plan()
    assert "Zone → Zone: Read" in raised.value.message


@pytest.mark.parametrize("prefix", ["", "cf{}t_"])
@pytest.mark.parametrize("owner", ["user", "account"])
def test_tokens_of_users_and_of_accounts_serve(owner: str, prefix: str) -> None:
    """Old ones and new ones; what is minted has the same owner."""
    desk = open_desk(owner)
    desk.grant.value = f"{prefix.format(owner[0])}{'x' * 40}"
    before = desk.world.snapshot()
    desk.apply()
    minted = [grant for grant in desk.world.grants.values() if grant is not desk.grant]
    assert [grant.owner for grant in minted] == [desk.grant.owner]
    assert desk.list_pending() == []
    desk.destroy()
    assert desk.world.snapshot() == before


def find_minted(desk: Desk) -> Grant:
    """Return the token that was made for the helper."""
    return next(g for g in desk.world.grants.values() if g.name.startswith("synapse-bundle "))


def test_the_minted_token_may_edit_one_zones_dns_and_nothing_else(desk: Desk) -> None:
    """The value that is kept opens exactly that."""
    other = desk.world.add_zone("example.net", desk.account)
    desk.grant.allowed.add(("DNS Write", other.id))
    desk.apply()
    minted = find_minted(desk)
    assert minted.allowed == {("DNS Write", desk.zone.id)}
    assert minted.value == desk.secrets[imports.TOKEN]
    assert minted.name.startswith("synapse-bundle ")
    assert minted.name.endswith(" dns of example.org")


def test_a_token_that_serves_is_not_made_again(desk: Desk) -> None:
    """Whoever made it."""
    own = Grant("mine_" * 9, "a" * 32, "by hand", "user", {("DNS Write", desk.zone.id)})
    desk.world.grants[own.id] = own
    desk.secrets[imports.TOKEN] = own.value
    desk.apply()
    assert desk.secrets[imports.TOKEN] == own.value
    assert len(desk.world.grants) == 2


def test_a_token_for_another_zone_does_not_serve(desk: Desk) -> None:
    """It is valid, but not for the DNS of this zone: the helper gets one that is."""
    own = Grant("mine_" * 9, "a" * 32, "by hand", "user", {("Zone Read", desk.zone.id)})
    desk.world.grants[own.id] = own
    desk.secrets[imports.TOKEN] = own.value
    desk.apply()
    assert desk.secrets[imports.TOKEN] == find_minted(desk).value != own.value


@pytest.mark.parametrize("value", ["dead" * 12, "x" * 100])
def test_a_token_that_cloudflare_refuses_does_not_serve(desk: Desk, value: str) -> None:
    """Unknown to it, or not even a token."""
    desk.secrets[imports.TOKEN] = value
    desk.apply()
    assert desk.secrets[imports.TOKEN] == find_minted(desk).value


def test_no_token_is_made_where_none_is_wanted(desk: Desk) -> None:
    """With another issuer, or a file that the settings name."""
    desk.wanted = replace(desk.wanted, mints=False)
    desk.apply()
    assert imports.TOKEN not in desk.secrets
    assert list(desk.world.grants.values()) == [desk.grant]


@pytest.mark.parametrize(
    ("owner", "permission", "told"),
    [
        ("user", "API Tokens Write", "User → API Tokens: Edit"),
        ("account", "Account API Tokens Write", "Account → Account API Tokens: Edit"),
    ],
)
def test_where_no_token_may_be_made_the_clicks_are_told(
    owner: str, permission: str, told: str
) -> None:
    """Which permission it would take, and how to make the helper's token by hand instead."""
    desk = open_desk(owner)
    withdraw(desk, permission)
    client, access = desk.open()
    state = desk.read_state()
    found = desk.look(client, access, state)
    pending = desk.plan()
    assert [c.condition for c in pending if c.part is Part.TOKEN] == [Condition.LEFT]
    (obstacle,) = advice.list_obstacles(desk.wanted, found, pending)
    for words in (told, "Edit zone DNS", "Specific zone, example.org", "--dns-token-file FILE"):
        assert words in obstacle


def test_a_destroy_needs_what_the_apply_needed(desk: Desk) -> None:
    """And says so before it begins."""
    desk.apply(EVERYTHING)
    withdraw(desk, *NAMES, "API Tokens Write")
    world = desk.world.snapshot()
    with pytest.raises(SettingsError) as raised:
        desk.destroy()
    for name in (*NAMES.values(), "User → API Tokens: Edit"):
        assert name in raised.value.message
    assert desk.world.snapshot() == world


def test_the_active_one_of_two_zones_counts(desk: Desk) -> None:
    """A name that another account claims as well, without its name servers."""
    desk.zone.status = "pending"
    other = desk.world.add_account()
    zone = desk.world.add_zone("example.org", other)
    places = {desk.zone.id: zone.id, desk.account.id: other.id}
    desk.grant.allowed |= {(name, places.get(each, each)) for name, each in desk.grant.allowed}
    desk.apply()
    assert desk.zone.records == {}
    assert len(zone.records) == 2


def test_a_zone_below_another_comes_first(desk: Desk) -> None:
    """The nearest zone above a name has its records."""
    zone = desk.world.add_zone("matrix.example.org", desk.account)
    desk.grant.allowed |= {(n, zone.id) for n, each in desk.grant.allowed if each == desk.zone.id}
    desk.apply()
    assert [record["type"] for record in zone.records.values()] == ["CNAME"]
    assert [record["name"] for record in desk.zone.records.values()] == ["example.org"]


def test_zones_of_two_accounts_serve(desk: Desk) -> None:
    """The tunnel is where the homeserver's zone is, the Worker where the server name's is."""
    other = desk.world.add_account()
    zone = desk.world.add_zone("example.net", other)
    desk.grant.allowed |= {
        (name, zone.id) for name, place in desk.grant.allowed if place == desk.zone.id
    }
    desk.grant.allowed |= {
        (name, other.id) for name, place in desk.grant.allowed if place == desk.account.id
    }
    desk.wanted = replace(
        desk.wanted,
        server_name="example.net",
        worker=replace(desk.wanted.worker, pattern="example.net/.well-known/matrix/*"),
    )
    before = desk.world.snapshot()
    desk.apply()
    assert desk.list_pending() == []
    assert (len(desk.account.tunnels), len(desk.account.scripts)) == (1, 0)
    assert (len(other.tunnels), len(other.scripts)) == (0, 1)
    assert [r["name"] for r in zone.records.values()] == ["example.net"]
    looked = {(c.reading.zone.name, c.reading.fix) for c in desk.plan() if c.reading}
    assert looked == {
        *(("example.org", fix) for fix in FREE),
        *(("example.net", fix) for fix in FREE if fix != "url-normalization"),
    }
    desk.destroy()
    assert desk.world.snapshot() == before


def test_a_server_name_elsewhere_is_no_obstacle(desk: Desk) -> None:
    """The token shows no zone for it: no Worker, and a note on what to serve there."""
    desk.wanted = replace(desk.wanted, server_name="example.net")
    desk.apply(Consent())
    assert desk.account.scripts == {}
    client, access = desk.open()
    assert desk.state
    notes = advice.list_notes(desk.wanted, desk.look(client, access, desk.state), desk.state)
    assert any("serve https://example.net/.well-known/matrix/ there yourself" in n for n in notes)

"""What a token may do is known before anything is changed; what it makes may do almost nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.changes import Condition
from synapse_bundle.credentials import file_names
from synapse_bundle.errors import SettingsError
from tests.cloudflare.simulation import EVERYTHING, FREE, Simulation, simulate
from tests.support.fake_cloudflare.store import Grant

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
def simulation() -> Simulation:
    """A simulation at a new account."""
    return simulate()


def withdraw(simulation: Simulation, *permissions: str) -> None:
    """Take permissions from the token; what can be read without being written stays readable."""
    for permission, resource in list(simulation.grant.allowed):
        if permission in permissions:
            simulation.grant.allowed.discard((permission, resource))
            simulation.grant.allowed.add((permission.replace("Write", "Read"), resource))


@pytest.mark.parametrize("permission", NAMES)
def test_each_missing_permission_is_named_as_the_dashboard_names_it(
    simulation: Simulation, permission: str
) -> None:
    """Reading is not enough, and nothing was changed."""
    withdraw(simulation, permission)
    store = simulation.store.snapshot()
    with pytest.raises(SettingsError) as raised:
        simulation.apply()
    assert raised.value.message.splitlines()[1:] == [f"  {NAMES[permission]}"]
    assert simulation.store.snapshot() == store
    assert simulation.state is None


def test_all_missing_permissions_are_named_at_once(simulation: Simulation) -> None:
    """One message is enough."""
    withdraw(simulation, *NAMES)
    with pytest.raises(SettingsError) as raised:
        simulation.plan()
    assert {line.strip() for line in raised.value.message.splitlines()[1:]} == set(NAMES.values())


@pytest.mark.parametrize("permission", OPTIONAL)
def test_a_setting_that_may_not_be_read_is_a_note(simulation: Simulation, permission: str) -> None:
    """Everything else is done."""
    simulation.grant.allowed -= {(permission, simulation.zone.id)}
    simulation.apply()
    assert simulation.list_pending() == []
    notes = simulation.list_notes()
    assert any(OPTIONAL[permission] in note for note in notes)


def test_a_setting_that_may_not_be_written_fails_nothing_else(simulation: Simulation) -> None:
    """It is reported with the permission, and the rest of the apply is done."""
    withdraw(simulation, "Zone Settings Write", "Bot Management Write")
    simulation.apply()
    for name in ("Zone Settings", "Bot Management"):
        assert any(f"the token lacks Zone → {name}: Edit" in line for line in simulation.reports)
    assert simulation.zone.bots["fight_mode"] is True
    assert file_names.TUNNEL in simulation.secrets
    assert simulation.state
    assert [e for e in simulation.state.entries if e.type == "setting"] == []
    simulation.destroy()
    assert simulation.zone.bots["fight_mode"] is True


@pytest.mark.parametrize("value", ["revoked_" * 6, "cfut_" + "x" * 40, "cfat_" + "x" * 40])
def test_a_token_that_is_not_accepted_is_distinguished(simulation: Simulation, value: str) -> None:
    """From one that lacks something."""
    simulation.grant = replace(simulation.grant, value=value)
    with pytest.raises(SettingsError, match="does not accept this token: it is expired") as raised:
        simulation.plan()
    assert value not in raised.value.message


def test_a_token_that_is_disabled_is_not_accepted(simulation: Simulation) -> None:
    """Its status is looked at."""
    simulation.grant.status = "disabled"
    with pytest.raises(SettingsError, match="does not accept this token"):
        simulation.plan()


@pytest.mark.parametrize("owner", ["user", "account"])
def test_a_token_for_another_zone_is_reported(owner: str) -> None:
    """A valid token whose zone resources do not include the domain."""
    simulation = simulate(owner)
    simulation.desired = replace(
        simulation.desired, server_name="example.net", homeserver="m.example.net"
    )
    with pytest.raises(SettingsError, match=r"shows no zone for m\.example\.net") as raised:
        simulation.plan()
    assert "Zone → Zone: Read" in raised.value.message


@pytest.mark.parametrize("prefix", ["", "cf{}t_"])
@pytest.mark.parametrize("owner", ["user", "account"])
def test_tokens_of_users_and_of_accounts_work(owner: str, prefix: str) -> None:
    """Old ones and new ones; what is created has the same owner."""
    simulation = simulate(owner)
    simulation.grant.value = f"{prefix.format(owner[0])}{'x' * 40}"
    before = simulation.store.snapshot()
    simulation.apply()
    created = [grant for grant in simulation.store.grants.values() if grant is not simulation.grant]
    assert [grant.owner for grant in created] == [simulation.grant.owner]
    assert simulation.list_pending() == []
    simulation.destroy()
    assert simulation.store.snapshot() == before


def find_helper_token(simulation: Simulation) -> Grant:
    """Return the token that was created for the helper."""
    return next(g for g in simulation.store.grants.values() if g.name.startswith("synapse-bundle "))


def test_the_created_token_may_edit_one_zones_dns_and_nothing_else(simulation: Simulation) -> None:
    """The value that is kept opens exactly that."""
    other = simulation.store.add_zone("example.net", simulation.account)
    simulation.grant.allowed.add(("DNS Write", other.id))
    simulation.apply()
    created = find_helper_token(simulation)
    assert created.allowed == {("DNS Write", simulation.zone.id)}
    assert created.value == simulation.secrets[file_names.TOKEN]
    assert created.name.startswith("synapse-bundle ")
    assert created.name.endswith(" dns of example.org")


def test_a_token_that_works_is_not_created_again(simulation: Simulation) -> None:
    """No matter who created it."""
    own = Grant("mine_" * 9, "a" * 32, "by hand", "user", {("DNS Write", simulation.zone.id)})
    simulation.store.grants[own.id] = own
    simulation.secrets[file_names.TOKEN] = own.value
    simulation.apply()
    assert simulation.secrets[file_names.TOKEN] == own.value
    assert len(simulation.store.grants) == 2


def test_a_token_for_another_zone_is_replaced(simulation: Simulation) -> None:
    """It is valid, but not for the DNS of this zone: the helper gets one that is."""
    own = Grant("mine_" * 9, "a" * 32, "by hand", "user", {("Zone Read", simulation.zone.id)})
    simulation.store.grants[own.id] = own
    simulation.secrets[file_names.TOKEN] = own.value
    simulation.apply()
    assert simulation.secrets[file_names.TOKEN] == find_helper_token(simulation).value != own.value


@pytest.mark.parametrize("value", ["dead" * 12, "x" * 100])
def test_a_token_that_cloudflare_refuses_is_replaced(simulation: Simulation, value: str) -> None:
    """Unknown to it, or not even a token."""
    simulation.secrets[file_names.TOKEN] = value
    simulation.apply()
    assert simulation.secrets[file_names.TOKEN] == find_helper_token(simulation).value


def test_no_token_is_created_where_none_is_needed(simulation: Simulation) -> None:
    """With another issuer, or a file that the settings name."""
    simulation.desired = replace(simulation.desired, needs_token=False)
    simulation.apply()
    assert file_names.TOKEN not in simulation.secrets
    assert list(simulation.store.grants.values()) == [simulation.grant]


@pytest.mark.parametrize(
    ("owner", "permission", "message"),
    [
        ("user", "API Tokens Write", "User → API Tokens: Edit"),
        ("account", "Account API Tokens Write", "Account → Account API Tokens: Edit"),
    ],
)
def test_if_no_token_may_be_created_the_clicks_are_listed(
    owner: str, permission: str, message: str
) -> None:
    """Which permission it would take, and how to make the helper's token by hand instead."""
    simulation = simulate(owner)
    withdraw(simulation, permission)
    pending = simulation.plan()
    assert [c.condition for c in pending if c.resource == "token"] == [Condition.LEFT]
    (obstacle,) = simulation.list_obstacles()
    for words in (message, "Edit zone DNS", "Specific zone, example.org", "--dns-token-file FILE"):
        assert words in obstacle


def test_a_destroy_needs_what_the_apply_needed(simulation: Simulation) -> None:
    """And says so before it begins."""
    simulation.apply(EVERYTHING)
    withdraw(simulation, *NAMES, "API Tokens Write")
    store = simulation.store.snapshot()
    with pytest.raises(SettingsError) as raised:
        simulation.destroy()
    for name in (*NAMES.values(), "User → API Tokens: Edit"):
        assert name in raised.value.message
    assert simulation.store.snapshot() == store


def test_the_active_one_of_two_zones_counts(simulation: Simulation) -> None:
    """A name that another account claims as well, without its name servers."""
    simulation.zone.status = "pending"
    other = simulation.store.add_account()
    zone = simulation.store.add_zone("example.org", other)
    places = {simulation.zone.id: zone.id, simulation.account.id: other.id}
    simulation.grant.allowed |= {
        (name, places.get(each, each)) for name, each in simulation.grant.allowed
    }
    simulation.apply()
    assert simulation.zone.records == {}
    assert len(zone.records) == 2


def test_a_zone_below_another_comes_first(simulation: Simulation) -> None:
    """The nearest zone above a name has its records."""
    zone = simulation.store.add_zone("matrix.example.org", simulation.account)
    simulation.grant.allowed |= {
        (n, zone.id) for n, each in simulation.grant.allowed if each == simulation.zone.id
    }
    simulation.apply()
    assert [record["type"] for record in zone.records.values()] == ["CNAME"]
    assert [record["name"] for record in simulation.zone.records.values()] == ["example.org"]


def test_zones_of_two_accounts_work(simulation: Simulation) -> None:
    """The tunnel is where the homeserver's zone is, the Worker where the server name's is."""
    other = simulation.store.add_account()
    zone = simulation.store.add_zone("example.net", other)
    simulation.grant.allowed |= {
        (name, zone.id) for name, place in simulation.grant.allowed if place == simulation.zone.id
    }
    simulation.grant.allowed |= {
        (name, other.id)
        for name, place in simulation.grant.allowed
        if place == simulation.account.id
    }
    simulation.desired = replace(
        simulation.desired,
        server_name="example.net",
        worker=replace(simulation.desired.worker, pattern="example.net/.well-known/matrix/*"),
    )
    before = simulation.store.snapshot()
    simulation.apply()
    assert simulation.list_pending() == []
    assert (len(simulation.account.tunnels), len(simulation.account.scripts)) == (1, 0)
    assert (len(other.tunnels), len(other.scripts)) == (0, 1)
    assert [r["name"] for r in zone.records.values()] == ["example.net"]
    looked = {(c.fix.zone.name, c.fix.name) for c in simulation.plan() if c.fix}
    assert looked == {
        *(("example.org", fix) for fix in FREE),
        *(("example.net", fix) for fix in FREE if fix != "url-normalization"),
    }
    simulation.destroy()
    assert simulation.store.snapshot() == before


def test_a_server_name_elsewhere_stops_nothing(simulation: Simulation) -> None:
    """The token shows no zone for it: no Worker, and a note on what to serve there."""
    simulation.desired = replace(simulation.desired, server_name="example.net")
    simulation.apply(Approval())
    assert simulation.account.scripts == {}
    notes = simulation.list_notes()
    assert any("serve https://example.net/.well-known/matrix/ there yourself" in n for n in notes)

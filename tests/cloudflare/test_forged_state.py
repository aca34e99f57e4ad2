"""A forged state file reaches nothing at Cloudflare that is not the bundle's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synapse_bundle.cloudflare import state as state_file
from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.kinds.registry import require_entry
from synapse_bundle.cloudflare.removal import RemovalAction
from synapse_bundle.cloudflare.state import StateEntry
from synapse_bundle.errors import SettingsError
from tests.cloudflare.simulation import Simulation, simulate

Forgery = Callable[[Simulation], StateEntry]


def forge_record(simulation: Simulation) -> StateEntry:
    """Claim a record of the web shop."""
    record = simulation.store.add_record(simulation.zone, "A", "shop.example.org", "192.0.2.9")
    return StateEntry(
        type="record", parent=simulation.zone.id, name=record["name"], id=record["id"],
        after=[record["content"]],
    )  # fmt: skip


def forge_proxy(simulation: Simulation) -> StateEntry:
    """Claim to have proxied the web shop, whose address would be bared."""
    record = simulation.store.add_record(
        simulation.zone, "A", "shop.example.org", "192.0.2.9", proxied=True
    )
    before = [{"id": record["id"], "ttl": 1}]
    return StateEntry(type="proxy", parent=simulation.zone.id, name=record["name"], before=before)


def forge_tunnel(simulation: Simulation) -> StateEntry:
    """Claim another tunnel, by its name and id."""
    tunnel = simulation.store.add_tunnel(simulation.account, "nas")
    return StateEntry(type="tunnel", parent=simulation.account.id, name="nas", id=tunnel["id"])


def forge_token(simulation: Simulation) -> StateEntry:
    """Claim the operator's own token."""
    return StateEntry(
        type="token", parent="/user", name=simulation.grant.name, id=simulation.grant.id
    )


def forge_worker(simulation: Simulation) -> StateEntry:
    """Claim another Worker."""
    simulation.store.add_script(simulation.account, "shop")
    before = {"zone": simulation.zone.id, "pattern": "shop.example.org/*"}
    return StateEntry(type="worker", parent=simulation.account.id, name="shop", before=before)


def forge_route(simulation: Simulation) -> StateEntry:
    """Claim a route to another Worker."""
    simulation.store.add_script(simulation.account, "shop")
    route = simulation.store.add_route(simulation.zone, "shop.example.org/*", "shop")
    return StateEntry(type="route", parent=simulation.zone.id, name=route["pattern"], after="shop")


def forge_setting(simulation: Simulation) -> StateEntry:
    """Claim a setting to be restored together with another one."""
    simulation.zone.bots["fight_mode"] = False
    return StateEntry(
        type="setting", parent=simulation.zone.id, name="bot-fight-mode example.org",
        before={"fight_mode": False, "enable_js": True}, after={"fight_mode": False},
    )  # fmt: skip


@pytest.mark.parametrize(
    "forge",
    [
        forge_record,
        forge_proxy,
        forge_tunnel,
        forge_token,
        forge_worker,
        forge_route,
        forge_setting,
    ],
)
def test_what_does_not_have_the_bundles_id_is_kept(forge: Forgery) -> None:
    """Whatever the state says of it; and it is reported."""
    simulation = simulate()
    entry = forge(simulation)
    before = simulation.store.snapshot()
    simulation.state = state_file.create("example.org").add(entry)
    (removal,) = simulation.destroy()
    assert removal.action is RemovalAction.KEEP
    assert simulation.store.snapshot() == before
    assert not simulation.store.touched


def test_an_id_alone_does_not_approve_replacing_a_record() -> None:
    """A server at the homeserver's name is foreign, whatever the state says."""
    simulation = simulate()
    record = simulation.store.add_record(simulation.zone, "A", "matrix.example.org", "192.0.2.9")
    entry = StateEntry(
        type="record", parent=simulation.zone.id, name=record["name"], id=record["id"],
        after=["192.0.2.9"],
    )  # fmt: skip
    simulation.state = state_file.create("example.org").add(entry)
    with pytest.raises(SettingsError, match="--replace homeserver"):
        simulation.apply(Approval())


GOOD: dict[str, Any] = {
    "kind": "worker", "place": "0" * 32, "name": "a-k3x9m2pq", "id": "",
    "before": {"zone": "0" * 32, "pattern": ""}, "after": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ({"place": "../../user/tokens"}, {}),
        ({"place": "0" * 32 + "/firewall"}, {}),
        ({"id": "../x"}, {}),
        ({"name": "../tokens"}, {}),
        ({"before": {"zone": "../x", "pattern": ""}}, {}),
        ({"before": None}, {}),
        ({"kind": "setting", "name": "bot-fight-mode"}, {}),
        ({"kind": "record", "before": [{"name": "shop.example.org"}]}, {}),
        ({}, {"id": "x"}),
        ({}, {"made": 7}),
    ],
)
def test_a_state_that_leads_elsewhere_is_refused(
    tmp_path: Path, change: dict[str, Any], whole: dict[str, Any]
) -> None:
    """What goes into addresses of the API can only be an id."""
    document = {
        "format": 1, "id": "k3x9m2pq", "server_name": "example.org", "made": [GOOD], "left": [],
    }  # fmt: skip
    path = tmp_path / state_file.NAME
    path.write_text(json.dumps(document))
    assert state_file.read(tmp_path, require_entry)
    path.write_text(json.dumps(document | {"made": [GOOD | change]} | whole))
    with pytest.raises(SettingsError, match="cannot be read; restore it from a backup"):
        state_file.read(tmp_path, require_entry)


def test_a_state_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / state_file.NAME).write_text("[" * 100_000)
    with pytest.raises(SettingsError, match="cannot be read; restore it from a backup"):
        state_file.read(tmp_path, require_entry)

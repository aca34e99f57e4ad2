"""A state file that somebody else wrote reaches nothing at Cloudflare that is not the bundle's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synapse_bundle.cloudflare import state as states
from synapse_bundle.cloudflare.consent import Consent
from synapse_bundle.cloudflare.state import Kind, Made
from synapse_bundle.cloudflare.undoing import Verb
from synapse_bundle.errors import SettingsError
from tests.cloudflare.desks import Desk, open_desk

Forgery = Callable[[Desk], Made]


def forge_record(desk: Desk) -> Made:
    """Claim a record of the web shop."""
    record = desk.world.add_record(desk.zone, "A", "shop.example.org", "192.0.2.9")
    return Made(
        kind=Kind.RECORD, place=desk.zone.id, name=record["name"], id=record["id"],
        after=[record["content"]],
    )  # fmt: skip


def forge_proxy(desk: Desk) -> Made:
    """Claim to have proxied the web shop, whose address would be bared."""
    record = desk.world.add_record(desk.zone, "A", "shop.example.org", "192.0.2.9", proxied=True)
    before = [{"id": record["id"], "ttl": 1}]
    return Made(kind=Kind.PROXY, place=desk.zone.id, name=record["name"], before=before)


def forge_tunnel(desk: Desk) -> Made:
    """Claim another tunnel, by its name and id."""
    tunnel = desk.world.add_tunnel(desk.account, "nas")
    return Made(kind=Kind.TUNNEL, place=desk.account.id, name="nas", id=tunnel["id"])


def forge_token(desk: Desk) -> Made:
    """Claim the operator's own token."""
    return Made(kind=Kind.TOKEN, place="/user", name=desk.grant.name, id=desk.grant.id)


def forge_worker(desk: Desk) -> Made:
    """Claim another Worker."""
    desk.world.add_script(desk.account, "shop")
    before = {"zone": desk.zone.id, "pattern": "shop.example.org/*"}
    return Made(kind=Kind.WORKER, place=desk.account.id, name="shop", before=before)


def forge_route(desk: Desk) -> Made:
    """Claim a route to another Worker."""
    desk.world.add_script(desk.account, "shop")
    route = desk.world.add_route(desk.zone, "shop.example.org/*", "shop")
    return Made(kind=Kind.ROUTE, place=desk.zone.id, name=route["pattern"], after="shop")


def forge_setting(desk: Desk) -> Made:
    """Claim a setting to be put back together with another one."""
    desk.zone.bots["fight_mode"] = False
    return Made(
        kind=Kind.SETTING, place=desk.zone.id, name="bot-fight-mode example.org",
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
def test_what_does_not_bear_the_mark_is_kept(forge: Forgery) -> None:
    """Whatever the state says of it; and it is told."""
    desk = open_desk()
    made = forge(desk)
    before = desk.world.snapshot()
    desk.state = states.create("example.org").remember(made)
    (undoing,) = desk.destroy()
    assert undoing.verb is Verb.KEEP
    assert desk.world.snapshot() == before
    assert not desk.world.touched


def test_an_id_alone_is_no_yes_to_replace_a_record() -> None:
    """A server at the homeserver's name is somebody's, whatever the state says."""
    desk = open_desk()
    record = desk.world.add_record(desk.zone, "A", "matrix.example.org", "192.0.2.9")
    made = Made(
        kind=Kind.RECORD, place=desk.zone.id, name=record["name"], id=record["id"],
        after=["192.0.2.9"],
    )  # fmt: skip
    desk.state = states.create("example.org").remember(made)
    with pytest.raises(SettingsError, match="--replace homeserver"):
        desk.apply(Consent())


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
    path = tmp_path / states.NAME
    path.write_text(json.dumps(document))
    assert states.read(tmp_path)
    path.write_text(json.dumps(document | {"made": [GOOD | change]} | whole))
    with pytest.raises(SettingsError, match="cannot be read; put it back from a copy"):
        states.read(tmp_path)


def test_a_state_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / states.NAME).write_text("[" * 100_000)
    with pytest.raises(SettingsError, match="cannot be read; put it back from a copy"):
        states.read(tmp_path)

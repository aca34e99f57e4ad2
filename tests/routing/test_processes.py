"""What holds for every bundle with workers: routes, shares, networks, memory, connections."""

from __future__ import annotations

import base64
import functools
import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bundle import images, sizing
from synapse_bundle.networks import place_process_networks
from synapse_bundle.pools import CLIENT_SHARES, MEDIA_SHARE, SERVER_SHARES
from synapse_bundle.processes import PRESETS, Process
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from synapse_bundle.topology import SYNAPSE, VALKEY
from tests.bundles import plan_settings, plan_shape, read_compose
from tests.routing.apache_rules import (
    choose_pool,
    read_balancers,
    read_choices,
    read_kinds,
)
from tests.routing.registry import read_registry
from tests.routing.test_routes import METHODS, paths
from tests.settings import DIRECTORY

SHAPES: Final = {"federation": "sender", "small": "small", "spread": "spread"}
SERVING: Final = ("small", "spread")
MAIN: Final = read_registry("main")
WORKER: Final = read_registry("worker")


def shape(preset: str) -> Path:
    return DIRECTORY / f"{SHAPES[preset]}.yaml"


@functools.cache
def contents(preset: str) -> dict[str, str]:
    """Return the text of a shape's files."""
    files = plan_shape(shape(preset)).files
    return {str(f.path): f.content.decode() for f in files if f.path.parts[0] != "images"}


@functools.cache
def compose(preset: str) -> Any:
    return read_compose(plan_shape(shape(preset)))


@functools.cache
def processes(preset: str) -> dict[str, Process]:
    return {process.name: process for process in loading.load(shape(preset)).processes}


presets = pytest.mark.parametrize("preset", SHAPES)
serving = pytest.mark.parametrize("preset", SERVING)


@serving
@settings(max_examples=1000)
@given(path=paths(), method=st.sampled_from(METHODS), token=st.text(st.characters(codec="ascii")))
def test_apache_gives_a_worker_only_what_it_serves(
    preset: str, path: str, method: str, token: str
) -> None:
    """The rules as rendered: a worker is asked what it serves, and by whom it is there for."""
    choices = read_choices(contents(preset)["apache/httpd.conf"])
    pool = choose_pool(choices, method, path, authorization=f"Bearer {token}")
    if pool != SYNAPSE.host:
        process = processes(preset)[pool]
        server = path.startswith(("/_matrix/federation/", "/_matrix/key/"))
        assert process.servers if server else process.clients
        assert WORKER.find_servlet(method, path) == MAIN.find_servlet(method, path)


@serving
def test_the_busiest_requests_reach_a_worker(preset: str) -> None:
    """The rules match at all, and what only the main process writes stays there."""
    choices = read_choices(contents(preset)["apache/httpd.conf"])
    for method, path in (
        ("GET", "/_matrix/client/v3/sync"),
        ("PUT", "/_matrix/client/v3/rooms/!a%2Fb:c/state/m.room.topic/"),
        ("PUT", "/_matrix/federation/v1/send/1"),
        ("HEAD", "/_matrix/client/v3/pushrules/global"),
    ):
        assert choose_pool(choices, method, path) != SYNAPSE.host, path
    for method, path in (
        ("PUT", "/_matrix/client/v3/pushrules/global"),
        ("PUT", "/_matrix/client/v3/rooms/!a:c/typing/@a:b"),
        ("POST", "/_matrix/media/v3/upload"),
    ):
        assert choose_pool(choices, method, path) == SYNAPSE.host, path


def test_a_message_goes_to_a_worker_only_where_several_share_them() -> None:
    """The main process writes it anyway, so beside a single worker it costs less to make it there too."""
    path = "/_matrix/client/v3/rooms/!a%2Fb:c/send/m.room.message/1"
    pools = {
        preset: choose_pool(read_choices(contents(preset)["apache/httpd.conf"]), "PUT", path)
        for preset in SERVING
    }
    assert pools == {"small": SYNAPSE.host, "spread": "synapse-client-1"}


def test_a_room_is_paged_by_one_process() -> None:
    """With several workers for clients, none of them could be one room's own."""
    path = "/_matrix/client/v3/rooms/!a:b/messages"
    pools = {
        preset: choose_pool(read_choices(contents(preset)["apache/httpd.conf"]), "GET", path)
        for preset in SERVING
    }
    assert pools == {"small": "synapse-generic", "spread": SYNAPSE.host}


def test_a_user_has_one_process_and_each_has_about_half_of_them() -> None:
    """By Synapse's own tokens: each device of a user has the same process, however it says so."""
    choices = read_choices(contents("spread")["apache/httpd.conf"])
    counts: dict[str, int] = {}
    for number in range(300):
        name = base64.b64encode(f"user-{number * 7}".encode()).decode().rstrip("=")
        tokens = [f"syt_{name}_{'ABCdefghij' * 2}_{end}" for end in ("0aBcD1", "2zYxW3")]
        path = "/_matrix/client/v3/sync"
        pools = {choose_pool(choices, "GET", path, authorization=f"Bearer {t}") for t in tokens}
        pools |= {choose_pool(choices, "GET", path, query=f"access_token={t}&x=1") for t in tokens}
        assert len(pools) == 1
        pool = pools.pop()
        counts[pool] = counts.get(pool, 0) + 1
    assert set(counts) == {"synapse-client-1", "synapse-client-2"}
    assert min(counts.values()) > 75
    assert choose_pool(choices, "POST", "/_matrix/client/v3/login") == "synapse-client-1"


@serving
def test_every_pool_exists_and_the_main_process_stands_by(preset: str) -> None:
    """Each kind of request has a balancer for each pool that may answer it."""
    configuration = contents(preset)["apache/httpd.conf"]
    balancers = read_balancers(configuration)
    kinds = {"small-federation", "large-federation", "federation", "key"}, {"small", "large"}
    # `$1` is federation, key or media.
    named = {"small-federation", "large-federation", "small", "large", "rest", "$1"}
    assert set(read_kinds(configuration)) == named
    for process in processes(preset).values():
        wanted = (kinds[0] if process.servers else set()) | (kinds[1] if process.clients else set())
        for kind in wanted | ({"rest"} if process.serves else set()):
            worker, standby = balancers.pop(f"{kind}-{process.name}")
            assert (worker.host, worker.standby) == (process.address, False)
            assert (standby.host, standby.standby) == (SYNAPSE.host, True)
    named = {f"{kind}-{SYNAPSE.host}" for kind in (*kinds[0], *kinds[1], "media", "rest")}
    assert set(balancers) == named
    assert all([m.host for m in members] == [SYNAPSE.host] for members in balancers.values())


@serving
def test_the_shares_of_threads_are_those_without_workers(preset: str) -> None:
    """However full its workers are, a kind of request holds no more of Apache's threads."""
    plain = {str(f.path): f.content for f in plan_settings(Settings()).files}
    text = plain["apache/httpd.conf"].decode()
    limits = {name: members[0].most for name, members in read_balancers(text).items()}
    limits |= {n: int(m) for n, m in re.findall(r"ProxyPass /_matrix/(\w+) .* max=(\d+)", text)}
    assert set(limits) == {s.kind for s in (*CLIENT_SHARES, *SERVER_SHARES, MEDIA_SHARE)}
    used = dict.fromkeys(limits, 0)
    for name, members in read_balancers(contents(preset)["apache/httpd.conf"]).items():
        kind = name.partition("-synapse")[0].removesuffix("-")
        for member in members if kind != "rest" else ():
            assert member.most, name
            used[kind] += member.most
    # Of servers' bodies the two sizes together: one large one in each process at a time.
    for either in (limits, used):
        either["small-federation"] += either.pop("large-federation")
    assert {kind for kind in used if used[kind] > limits[kind]} == set()


@presets
def test_each_process_is_known_under_its_name(preset: str) -> None:
    """The service, Synapse's name for it, and the duties that the shared file gives it agree."""
    shared = yaml.safe_load(contents(preset)["synapse/homeserver.yaml"])
    chosen = processes(preset)
    for name in chosen:
        own = yaml.safe_load(contents(preset)[f"synapse/workers/{name}.yaml"])
        assert own["worker_name"] == name
        assert (
            f"{SYNAPSE.configuration}/workers/{name}.yaml"
            in compose(preset)["services"][name]["command"]
        )
        served = own["worker_listeners"][0]["resources"][0]["names"]
        assert served == ["client", "federation"]
    assert shared["send_federation"] is False
    assert shared["federation_sender_instances"] == [n for n, p in chosen.items() if p.sends]
    background = [name for name, process in chosen.items() if process.background]
    assert shared.get("pusher_instances", []) == background
    for key in ("run_background_tasks_on", "update_user_directory_from_worker"):
        assert [shared[key]] if key in shared else not background, key
    assert len(shared["federation_sender_instances"]) == 1
    assert len(background) <= 1


@presets
def test_unencrypted_traffic_is_on_a_network_of_its_own(preset: str) -> None:
    """Replication and Valkey are on a network without a way out, of Synapse's processes alone."""
    model, chosen = compose(preset), processes(preset)
    members: dict[str, set[str]] = {}
    for name, service in model["services"].items():
        for network in service["networks"]:
            members.setdefault(network, set()).add(name)
    assert model["networks"]["replication"]["internal"] is True
    assert members["replication"] == {SYNAPSE.host, VALKEY.host, *chosen}
    listeners = yaml.safe_load(contents(preset)["synapse/homeserver.yaml"])["listeners"]
    (replication,) = (x for x in listeners if x["resources"][0]["names"] == ["replication"])
    (address,) = replication["bind_addresses"]
    assert address == model["services"][SYNAPSE.host]["networks"]["replication"]["ipv4_address"]
    pool = model["networks"]["replication"]["ipam"]["config"][0]
    assert IPv4Address(address) in IPv4Network(pool["subnet"])
    assert IPv4Address(address) not in IPv4Network(pool["ip_range"])
    answering = {name for name, process in chosen.items() if process.serves}
    assert members.get("pools", set()) == (answering | {"apache"} if answering else set())


@serving
def test_addresses_are_fixed_and_of_one_network(preset: str) -> None:
    """Each member of the pools' network has an address of its own there: none is given out."""
    model = compose(preset)
    (subnet,) = (IPv4Network(c["subnet"]) for c in model["networks"]["pools"]["ipam"]["config"])
    assert model["networks"]["pools"]["internal"] is True
    addresses = [
        IPv4Address(service["networks"]["pools"]["ipv4_address"])
        for service in model["services"].values()
        if "pools" in service["networks"]
    ]
    assert len(set(addresses)) == len(addresses)
    # The first is the gateway's.
    assert all(address in subnet and address > subnet[1] for address in addresses)


@given(
    project=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True), prefix=st.integers(16, 29)
)
def test_networks_never_overlap(project: str, prefix: int) -> None:
    """Wherever the tunnel's network is, those of the workers lie beside it."""
    first = place_process_networks(project, IPv4Network("192.168.0.0/16"))
    tunnel = IPv4Network((int(IPv4Network(first.pools)[0]), prefix), strict=False)
    networks = place_process_networks(project, tunnel)
    replication, pools = (IPv4Network(each) for each in (networks.replication, networks.pools))
    assert not replication.overlaps(pools)
    assert not any(subnet.overlaps(tunnel) for subnet in (replication, pools))


@presets
def test_postgresql_has_room_for_every_process(preset: str) -> None:
    """Each process has a pool of its own; PostgreSQL's own people come beside them."""
    most = yaml.safe_load(contents(preset)["secrets/synapse.yaml"])["database"]["args"]["cp_max"]
    words = compose(preset)["services"]["postgres"]["command"]
    (limit,) = (int(w.partition("=")[2]) for w in words if w.startswith("--max_connections"))
    assert (1 + len(processes(preset))) * most + 15 <= limit


@pytest.mark.parametrize("preset", PRESETS)
def test_memory_counts_every_process(preset: str) -> None:
    """All processes of Synapse together have its part of `memory`, and each has enough to live."""
    count = 1 + len(PRESETS[preset])
    least = sizing.require_memory(count)
    shared = sizing.share_out(least, count)
    assert shared.synapse * count <= least // sizing.MIB * 55 // 100
    assert shared.synapse >= 350
    assert shared.cache_target < shared.cache_ceiling < shared.synapse


def test_the_bus_is_valkey_and_keeps_nothing() -> None:
    """Its password is in a file alone, and it writes nothing to a disk."""
    text = contents("small")["secrets/valkey.conf"]
    assert 'save ""' in text
    assert "appendonly no" in text
    redis = yaml.safe_load(contents("small")["secrets/synapse.yaml"])["redis"]
    assert f'requirepass "{redis["password"]}"' in text
    assert images.read_pins()["valkey"].reference == compose("small")["services"]["valkey"]["image"]

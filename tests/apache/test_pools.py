"""Apache with workers, for real: who is asked, what of the request arrives, who answers for the dead."""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.apache.apache_container import ApacheContainer, Start
from tests.apache.configuration import PROJECT, ApacheConfiguration, plan_workers
from tests.routing.apache_rules import choose_pool, read_balancers, read_choices
from tests.routing.test_routes import paths
from tests.support.engine import docker
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

STATE: Final = "/_matrix/client/v3/rooms/!a%2Fb:c/state/m.room.topic/"
SYNC: Final = "/_matrix/client/v3/sync"
MEDIA: Final = "/_matrix/media/x"
NETWORK: Final = f"{PROJECT}-pools"


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """An Apache between the stand-ins of the main process and of each worker."""

    front: ApacheContainer
    configuration: str
    # The containers by the name that they call themselves.
    hosts: dict[str, str]

    def find_answering(self, target: str, method: str = "GET", body: bytes | None = None) -> str:
        """Return which process answered a request, and make sure that it got it as it was sent."""
        answer = self.front.ask(target, method=method, body=body)
        assert answer.status == 200, (method, target, answer.status, answer.body)
        received: dict[str, Any] = answer.json
        assert (received["method"], received["target"]) == (method, target)
        return self.hosts[received["host"]]


@pytest.fixture(scope="module")
def configuration() -> ApacheConfiguration:
    """Return the configuration of a bundle with one worker for clients and servers."""
    return plan_workers("small")


@pytest.fixture(scope="module")
def pooled(
    start: Start, backend: str, backend_image: str, configuration: ApacheConfiguration
) -> Iterator[Pooled]:
    """Start Apache and a stand-in for each worker at its address."""
    text = configuration.files["httpd.conf"]
    addresses = {
        members[0].host: name.removeprefix("rest-")
        for name, members in read_balancers(text).items()
        if name.startswith("rest-") and len(members) > 1
    }
    subnet = f"{next(iter(addresses)).rpartition('.')[0]}.0/24"
    docker("network", "create", "--internal", f"--subnet={subnet}", NETWORK)
    workers = {}
    try:
        for address, name in addresses.items():
            options = ("--network", NETWORK, "--ip", address)
            workers[name] = docker("run", "--detach", *options, backend_image)
        hosts = {container[:12]: name for name, container in workers.items()}
        with start(configuration) as front:
            docker("network", "connect", NETWORK, front.container)
            yield Pooled(front=front, configuration=text, hosts={backend[:12]: "synapse"} | hosts)
    finally:
        docker("rm", "--force", *workers.values())
        docker("network", "rm", NETWORK)


def test_apache_does_as_its_rules_were_read(pooled: Pooled) -> None:
    """Each request reaches the process that the law says, byte for byte, with a body and without."""
    choices = read_choices(pooled.configuration)

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(
        path=paths(),
        query=st.sampled_from(["", "a=%2F&b=%3F", "access_token=syt_YWxpY2U_x_y", "?", "a=b?c/d"]),
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
        length=st.sampled_from([0, 3, 70_000]),
    )
    def ask(path: str, query: str, method: str, length: int) -> None:
        target = path + (f"?{query}" if query else "")
        answer = pooled.front.ask(target, method=method, body=b"x" * length if length else None)
        if answer.status != 200:
            # Refused before any process is asked, as without workers.
            assert answer.headers["Server"] == "Apache", (method, target, answer.status)
            return
        received = answer.json
        assert received["target"] == target
        assert pooled.hosts[received["host"]] == choose_pool(choices, method, path, query=query)

    ask()


@pytest.mark.parametrize(
    ("target", "process"),
    [
        (f"{SYNC}?since=s1_2%2F3&filter=%7B%22a%22%3A%22%3F%22%7D", "synapse-generic"),
        ("/_matrix/client/v3/directory/room/%23a%2Fb%3Aexample.org", "synapse-generic"),
        ("/_matrix/federation/v1/event/$a%2Bb+c", "synapse-generic"),
        ("/_matrix/key/v2/query/example.org", "synapse-generic"),
        ("/_matrix/federation/v1/media/download/%25", "synapse"),
        ("/_matrix/media/v3/download/a/b?x=%2F", "synapse"),
        ("/_synapse/client/pick_username/?next=%2F..%2Fadmin", "synapse"),
        ("/_matrix/a//b/../c/./d;e=f?g=%2F&h=+&i", "synapse"),
    ],
)
@pytest.mark.parametrize("body", [None, b"{}", b"x" * 70_000], ids=["bare", "small", "large"])
def test_targets_arrive_intact(
    pooled: Pooled, target: str, process: str, body: bytes | None
) -> None:
    """Whichever process answers, it gets the target byte for byte, as servers signed it."""
    assert pooled.find_answering(target, "PUT" if body else "GET", body) == process


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/_synapse/admin/v1/server_version", 403),
        ("/_synapse/client/..%2fadmin/v1/users", 403),
        ("/_matrix/client/v3/../../../_synapse/admin/v1/users", 403),
        ("/_matrix/client/v3/pushrules/../../../federation/v1/version", 404),
        ("/%5Fmatrix/client/versions", 404),
    ],
)
def test_what_is_closed_stays_closed(pooled: Pooled, target: str, status: int) -> None:
    """A worker opens no way to what is closed without workers."""
    assert pooled.front.ask(target).status == status


@pytest.mark.parametrize(
    ("target", "limit"),
    [
        (STATE, 4 * 2**20),
        ("/_matrix/client/v3/login", 256 * 2**10),
        ("/_matrix/federation/v1/send/1", 10 * 2**20),
        ("/_matrix/federation/v1/invite/a/b", 2**20),
    ],
)
def test_bodies_have_the_same_limits(pooled: Pooled, target: str, limit: int) -> None:
    """What is too large for the main process is too large for a worker."""
    assert pooled.find_answering(target, "PUT", b"x" * limit) == "synapse-generic"
    assert pooled.front.ask(target, method="PUT", body=b"x" * (limit + 1)).status == 413


@pytest.mark.parametrize("way", ["killed", "gone"])
def test_the_main_process_answers_for_a_dead_worker(pooled: Pooled, way: str) -> None:
    """No request fails because a worker is dead, and it gets its requests again once it is back."""
    worker = next(host for host, name in pooled.hosts.items() if name != "synapse")
    ask = functools.partial(pooled.find_answering, STATE, "PUT", b"{}")
    wait_for(lambda: ask() == "synapse-generic", "the worker answers")
    docker("kill", worker) if way == "killed" else docker("stop", "--time=0", worker)
    try:
        answering = [ask() for _ in range(20)] + [pooled.find_answering(SYNC) for _ in range(20)]
        assert set(answering) == {"synapse"}
    finally:
        docker("start", worker)
    wait_for(lambda: ask() == "synapse-generic", "the worker answers again")
    wait_for(lambda: pooled.find_answering(SYNC) == "synapse-generic", "for every kind of request")


def test_connections_to_a_worker_are_reused_unless_it_is_drained(
    pooled: Pooled, start: Start, configuration: ApacheConfiguration
) -> None:
    """In a cluster each request has a connection of its own, which a worker that ends does not get."""
    wait_for(lambda: pooled.find_answering(SYNC) == "synapse-generic", "the worker answers")
    assert max(number_requests(pooled.front)) > 1
    with start(configuration, "-DDRAIN_WORKERS") as draining:
        docker("network", "connect", NETWORK, draining.container)
        assert set(number_requests(draining)) == {1}


def number_requests(front: ApacheContainer) -> list[int]:
    """Return which request of its connection each of several was to the worker."""
    return [front.ask(SYNC).json["number"] for _ in range(10)]


def test_a_worker_that_is_full_passes_on_until_the_share_is_used_up(
    pooled: Pooled, start: Start, configuration: ApacheConfiguration
) -> None:
    """The main process takes what is over, up to its own part; beyond that a request is refused."""
    (worker, standby) = read_balancers(pooled.configuration)["large-synapse-generic"]
    total = worker.most + standby.most
    target, body = f"{STATE}?hold=600", b"x" * 70_000
    answers: list[int] = []

    def is_held() -> bool:
        answers.append(front.ask(target, method="PUT", body=body).status)
        return answers[-1] != 503

    def hold() -> None:
        # A worker that was full counts as dead for seconds, as one that refuses a connection does.
        wait_for(is_held, "a request finds its place")

    threads = [threading.Thread(target=hold) for _ in range(total)]
    # Each child of Apache counts a share for itself. A new one is too small to be replaced, and while a
    # connection is kept none is.
    with start(configuration) as front, closing(front.connect()) as kept:
        docker("network", "connect", NETWORK, front.container)
        for thread in threads:
            thread.start()
        try:
            wait_for(
                lambda: sum(_count_held(kept, pooled.hosts)) == total, "the whole share is in use"
            )
            assert front.ask(STATE, method="PUT", body=body).status == 503
            # Everyone else is served.
            others = dataclasses.replace(pooled, front=front)
            assert others.find_answering(STATE, "PUT", b"{}")
            assert others.find_answering(SYNC)
        finally:
            for released in (MEDIA, SYNC):
                front.ask(f"{released}?release=1")
            for thread in threads:
                thread.join()
    assert sorted(answers)[:total] == [200] * total
    assert set(answers) <= {200, 503}


def _count_held(connection: HTTPConnection, hosts: Mapping[str, str]) -> Collection[int]:
    """Return how many requests each process holds."""
    held: dict[str, int] = {}
    for target in (MEDIA, SYNC):
        connection.request("GET", target)
        seen = json.loads(connection.getresponse().read())
        held[seen["host"]] = seen["held"]
    assert set(held) == set(hosts)
    return held.values()

"""The Worker answers at the apex, and its answers lead through the tunnel to the homeserver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.support import node
from tests.support.http import Answer
from tests.support.stacks import Stack
from tests.worker.runtime import Request, WorkerModule
from tests.worker.workerd import install_workerd, run_workerd

pytestmark = pytest.mark.engine

Ask = Callable[..., Answer]
WELL_KNOWN: Final = "/.well-known/matrix"


@pytest.fixture(scope="module")
def apex(domain: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The bundle's own Worker in Cloudflare's runtime, where the apex would be."""
    if obstacle := node.find_obstacle():
        node.give_up(obstacle)
    try:
        program = install_workerd()
    except RuntimeError as error:
        node.give_up(str(error))
    source = (domain.directory / "worker" / "worker.js").read_text()
    worker = WorkerModule(name="apex", host=domain.server_name, source=source)
    with run_workerd(program, tmp_path_factory.mktemp("apex"), [worker]) as runtime:
        yield lambda target, **options: runtime.fetch(worker, Request(target=target, **options))


def test_a_client_is_led_from_the_apex_into_the_tunnel(domain: Stack, apex: Ask) -> None:
    """A client that knows the server name alone finds the address, and the homeserver answers there."""
    base_url = apex(f"{WELL_KNOWN}/client").json["m.homeserver"]["base_url"]
    assert base_url == f"https://{domain.homeserver}"
    host = base_url.removeprefix("https://")
    answer = domain.ask_through_tunnel("GET", "/_matrix/client/versions", headers={"Host": host})
    assert "versions" in answer.json


def test_a_server_is_led_from_the_apex_to_the_keys(domain: Stack, apex: Ask) -> None:
    """Another server learns of port 443, and finds there the keys of the server name."""
    host, _, port = apex(f"{WELL_KNOWN}/server").json["m.server"].partition(":")
    assert port == "443"
    document = domain.ask_through_tunnel(
        "GET", "/_matrix/key/v2/server", headers={"Host": host}
    ).json
    assert document["server_name"] == domain.server_name


@pytest.mark.parametrize("name", ["client", "server", "support", "policy_server"])
@pytest.mark.parametrize("spelling", ["", "/", "?x=1"])
def test_worker_and_apache_say_the_same(domain: Stack, apex: Ask, name: str, spelling: str) -> None:
    """Whichever of the two answers: status, body, type, caching and CORS are the same."""
    target = f"{WELL_KNOWN}/{name}{spelling}"
    worker, apache = apex(target), domain.ask_through_tunnel("GET", target)
    assert (worker.status, worker.body) == (apache.status, apache.body)
    compared = ["content-type", "cache-control"]
    compared += [f"access-control-allow-{what}" for what in ("origin", "methods", "headers")]
    assert {k: worker.headers.get(k) for k in compared} == {
        k: apache.headers.get(k) for k in compared
    }

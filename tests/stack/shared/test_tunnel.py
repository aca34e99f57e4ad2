"""Requests through the tunnel: what passes, what is refused, and whose address is trusted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaitingError
from typing import Any, Final

import pytest
import yaml

from tests.stack.accounts import Person, register
from tests.support.http import Answer
from tests.support.matrix import CLIENT, LOGIN, build_login, escape
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

MB: Final = 1_000_000
VISITOR: Final = "203.0.113.9"
# Addresses that a visitor may only claim to have.
FORGED: Final = {
    "X-Forwarded-For": "198.51.100.1",
    "CF-Connecting-IP": "198.51.100.2",
    "X-Real-IP": "198.51.100.3",
    "Forwarded": "for=198.51.100.4",
}


@pytest.fixture(scope="module")
def person(domain: Stack) -> Person:
    """A user of the bundle."""
    return register(domain)


def enter(person: Person, method: str, path: str, **options: Any) -> Answer:
    """Ask through the tunnel as a user."""
    return person.stack.ask_through_tunnel(method, path, token=person.token, **options)


def upload(person: Person, size: int) -> Answer:
    """Upload a file of zeros through the tunnel."""
    headers = {"Content-Type": "application/octet-stream"}
    return enter(person, "POST", "/_matrix/media/v3/upload", body=bytes(size), headers=headers)


def test_cloudflared_verifies_apache_by_name(domain: Stack) -> None:
    """Apache's certificate is checked by cloudflared against the homeserver's name and the authority."""
    path = domain.directory / "cloudflared" / "config.yaml"
    rules = yaml.safe_load(path.read_text())["ingress"]
    assert rules[0]["hostname"] == "matrix.alpha.test"
    assert rules[0]["service"] == "https://apache:443"
    origin = rules[0]["originRequest"]
    assert origin["originServerName"] == "matrix.alpha.test"
    assert origin["caPool"] == "/run/secrets/trust.pem"
    assert "noTLSVerify" not in path.read_text()
    assert rules[1:] == [{"service": "http_status:404"}]


def test_a_client_finds_the_homeserver(domain: Stack) -> None:
    """The homeserver answers through the tunnel, with its addresses and with CORS."""
    assert domain.ask_through_tunnel("GET", "/_matrix/client/versions").status == 200
    client = domain.ask_through_tunnel("GET", "/.well-known/matrix/client")
    assert client.json["m.homeserver"] == {"base_url": "https://matrix.alpha.test"}
    assert client.headers["access-control-allow-origin"] == "*"
    server = domain.ask_through_tunnel("GET", "/.well-known/matrix/server")
    assert server.json == {"m.server": "matrix.alpha.test:443"}


def test_public_names_that_do_not_lead_here_are_reported(domain: Stack) -> None:
    """Where no public name leads to the tunnel, the rows for it fail and say why; others hold."""
    checked = domain.check(outside=True)
    failed = [row for row in json.loads(checked.stdout)["checks"] if not row["ok"]]
    assert [row["name"] for row in failed] == [
        "public name leads here",
        "public well-known client",
        "public well-known server",
    ]
    assert all(row["cause"] and row["next_step"] for row in failed)
    assert checked.returncode == 1


def test_another_host_name_is_not_passed_on(domain: Stack) -> None:
    """Only the homeserver's own name leads into the tunnel."""
    answer = domain.ask_through_tunnel(
        "GET", "/_matrix/client/versions", headers={"Host": "other.test"}
    )
    assert answer.status == 404


@pytest.mark.parametrize("name", ["a/b//c%2Fd?e#f%25ü", "x" * 4000 + "/y"], ids=["odd", "long"])
def test_a_path_arrives_byte_for_byte(domain: Stack, name: str) -> None:
    """Synapse is asked for the very alias that the visitor wrote, whatever its characters."""
    alias = f"#{name}:alpha.test"
    answer = domain.ask_through_tunnel("GET", f"{CLIENT}/directory/room/{escape(alias)}")
    assert answer.status == 404
    assert alias in answer.json["error"]


def test_a_needless_escape_arrives_as_it_was_written(domain: Stack) -> None:
    """Not even an escape that means nothing is rewritten: federation signs the bytes."""
    answer = domain.ask_through_tunnel("GET", "/_matrix/static/clien%74")
    assert answer.headers["location"].endswith("/_matrix/static/clien%74/")


def read_address(person: Person, headers: Mapping[str, str], *, tunnel: bool) -> str:
    """Return the address that Synapse recorded for a user who sends these headers."""
    ask = person.stack.ask_through_tunnel if tunnel else person.stack.ask
    noted: list[str | None] = []

    def note() -> bool:
        answer = ask("GET", f"{CLIENT}/devices", headers=headers, token=person.token)
        noted.append(answer.json["devices"][0].get("last_seen_ip"))
        return noted[-1] is not None

    wait_for(note, "Synapse noted an address", patience=30)
    return str(noted[-1])


def test_the_visitors_address_is_known_through_the_tunnel(domain: Stack) -> None:
    """Synapse notes the address that Cloudflare saw, not one that the visitor claims."""
    headers = FORGED | {"X-Lab-Visitor": VISITOR}
    assert read_address(register(domain), headers, tunnel=True) == VISITOR


def test_only_the_tunnel_may_name_the_client_address(domain: Stack) -> None:
    """A client beside the tunnel cannot claim an address by CF-Connecting-IP or another header."""
    networks = domain.inspect("apache")["NetworkSettings"]["Networks"].values()
    gateways = {network["Gateway"] for network in networks}
    assert read_address(register(domain), FORGED, tunnel=False) in gateways


def test_one_guesser_does_not_lock_out_the_others(domain: Stack) -> None:
    """A guesser of passwords is stopped by address, and other visitors still sign in."""

    def sign_in(visitor: str, attempt: int) -> int:
        body = build_login(f"nobody-{attempt}", "guess")
        headers = FORGED | {"X-Lab-Visitor": visitor}
        return domain.ask_through_tunnel("POST", LOGIN, body=body, headers=headers).status

    assert 429 in [sign_in("203.0.113.10", attempt) for attempt in range(62)]
    assert sign_in("203.0.113.11", 99) == 403


def settle(person: Person) -> str:
    """Return the token of the latest sync, once nothing new arrives."""
    since = str(enter(person, "GET", f"{CLIENT}/sync?timeout=0").json["next_batch"])
    for _ in range(20):
        path = f"{CLIENT}/sync?timeout=500&since={since}"
        latest = str(enter(person, "GET", path).json["next_batch"])
        if latest == since:
            return since
        since = latest
    raise AssertionError("something new arrived again and again")


def test_a_poll_without_news_returns_at_its_time(person: Person) -> None:
    """A poll of 5 s is held for 5 s and answered, also through the tunnel."""
    since = settle(person)
    begin = time.monotonic()
    answer = enter(person, "GET", f"{CLIENT}/sync?timeout=5000&since={since}")
    assert time.monotonic() - begin >= 4.5
    assert answer.status == 200
    assert answer.json["next_batch"] == since


def test_a_poll_returns_when_there_is_news(person: Person) -> None:
    """A held poll of 30 s is answered as soon as a message arrives."""
    room = person.create_room()
    since = settle(person)
    with ThreadPoolExecutor(1) as pool:
        path = f"{CLIENT}/sync?timeout=30000&since={since}"
        poll = pool.submit(enter, person, "GET", path)
        with pytest.raises(StillWaitingError):
            poll.result(timeout=1)
        event = person.send(room, "news")
        answer = poll.result(timeout=20)
    timeline = answer.json["rooms"]["join"][room]["timeline"]["events"]
    assert [e["event_id"] for e in timeline] == [event]


def test_a_large_file_passes_through_the_tunnel(person: Person) -> None:
    """90 MB pass the tunnel in both directions unchanged."""
    data = os.urandom(90 * MB)
    headers = {"Content-Type": "application/octet-stream"}
    path = "/_matrix/media/v3/upload"
    uploaded = enter(person, "POST", path, body=data, headers=headers)
    media = uploaded.json["content_uri"].removeprefix("mxc://")
    downloaded = enter(person, "GET", f"/_matrix/client/v1/media/download/{media}")
    assert downloaded.body == data


def test_a_file_between_both_limits_is_refused_by_the_homeserver(person: Person) -> None:
    """A body that Cloudflare passes and the homeserver does not take is M_TOO_LARGE, with CORS."""
    answer = upload(person, 99 * MB)
    assert (answer.status, answer.json["errcode"]) == (413, "M_TOO_LARGE")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_file_above_cloudflares_limit_never_comes_in(person: Person) -> None:
    """Above 100 MB the edge itself refuses; the largest upload of the settings is below that."""
    headers = {"Content-Length": str(100 * MB + 1)}
    answer = enter(person, "POST", "/_matrix/media/v3/upload", headers=headers)
    assert answer.status == 413
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    ["/_synapse/admin/v1/server_version", "/_synapse/client/../admin/v1/server_version",
     "/_matrix/..%2f_synapse/admin/v1/register", "//_synapse/admin/v1/register"],
)  # fmt: skip
def test_the_admin_api_is_closed_to_the_internet(domain: Stack, path: str) -> None:
    """No spelling of the admin API leads through the tunnel."""
    answer = domain.ask_through_tunnel("GET", path)
    assert answer.status in {400, 403, 404}
    assert b"nonce" not in answer.body
    assert b"server_version" not in answer.body

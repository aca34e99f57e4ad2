"""The fakes themselves: a fake that accepts everything proves nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, Final

import pytest

from tests.acme.internet import TOKEN, Internet
from tests.support import http

pytestmark = pytest.mark.engine

RECORD: Final = {
    "type": "TXT",
    "name": "_acme-challenge.example.test",
    "content": "one",
    "ttl": 120,
}


@pytest.fixture
def strange(running_internet: Internet) -> Iterator[Internet]:
    """The fake internet, for requests that no client should make."""
    running_internet.reset()
    yield running_internet
    running_internet.reset()


def ask(
    internet: Internet,
    path: str,
    document: object = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Ask Cloudflare's API with the good token, unless headers say otherwise."""
    connection = HTTPConnection(internet.resolver, timeout=10)
    fields = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = None if document is None else json.dumps(document).encode()
    chosen = method or ("POST" if body else "GET")
    path = f"/client/v4{path}"
    answer = http.ask(connection, chosen, path, headers=fields | (headers or {}), body=body)
    return answer.status, answer.json


def find_zone(internet: Internet, name: str = "example.test") -> str:
    """Return the path of a zone's records."""
    return f"/zones/{internet.read_state()['zones'][name]}/dns_records"


@pytest.mark.parametrize(
    ("path", "document", "headers", "code"),
    [
        ("/zones?name=example.test", None, {"X-Auth-Email": "you@example.test"}, 9103),
        ("/zones", None, {}, 1000),
        ("/zones?name=example.test&status=active", None, {}, 1000),
        ("/user/tokens/verify", None, {}, 7000),
        ("/zones/example.test/dns_records", None, {}, 7003),
        ("{zone}?name=example.test", None, {}, 1000),
        ("{zone}", RECORD | {"type": "A"}, {}, 9005),
        ("{zone}", RECORD | {"proxied": True}, {}, 9005),
        ("{zone}", RECORD | {"name": "example.com"}, {}, 1004),
        ("{zone}", RECORD | {"ttl": 59}, {}, 9021),
        ("{zone}", [RECORD], {}, 9207),
        ("{zone}", RECORD, {"Content-Type": "text/plain"}, 6003),
        ("{zone}/batch", {"posts": [RECORD]}, {}, 7000),
    ],
)
def test_refuses_and_records_what_no_client_should_send(
    strange: Internet, path: str, document: object, headers: dict[str, str], code: int
) -> None:
    """The API answers only what a DNS-01 client needs, and reports the rest to the test."""
    status, answer = ask(strange, path.format(zone=find_zone(strange)), document, headers=headers)
    assert status in {400, 404}
    assert answer["errors"][0]["code"] == code
    assert len(strange.read_state()["violations"]) == 1


def test_permits_a_token_its_own_zone_alone(internet: Internet) -> None:
    """A token finds and edits the zone it is for, and no other."""
    assert ask(internet, "/zones?name=example.test")[1]["result"][0]["name"] == "example.test"
    assert ask(internet, "/zones?name=other.test")[1]["result"] == []
    status, answer = ask(internet, find_zone(internet, "other.test"), RECORD)
    assert (status, answer["errors"][0]["code"]) == (403, 10000)
    stranger = {"Authorization": f"Bearer {'x' * 40}"}
    status, answer = ask(internet, "/zones?name=example.test", headers=stranger)
    assert (status, answer["errors"][0]["code"]) == (403, 9109)


def test_keeps_a_record_once_and_finds_it_by_value(internet: Internet) -> None:
    """A second identical record is refused, filters are exact, and pages end."""
    zone = find_zone(internet)
    status, answer = ask(internet, zone, RECORD)
    assert (status, answer["success"]) == (200, True)
    for same in (RECORD, RECORD | {"content": '"one"'}):
        assert ask(internet, zone, same)[1]["errors"][0]["code"] == 81058
    assert ask(internet, zone, RECORD | {"content": "two"})[0] == 200
    exact = f"{zone}?type=TXT&name.exact={RECORD['name']}&content.exact=one"
    assert [r["id"] for r in ask(internet, exact)[1]["result"]] == [answer["result"]["id"]]
    assert ask(internet, f"{exact}&page=2")[1]["result"] == []
    path = f"{zone}/{answer['result']['id']}"
    assert [ask(internet, path, method="DELETE")[0] for _ in range(2)] == [200, 404]


def test_fails_as_often_as_configured(internet: Internet) -> None:
    """A failure that is switched on meets the named requests, and then ends."""
    rule = {"status": 429, "code": 971, "message": "slow down", "times": 1, "method": "GET"}
    internet.control(cloudflare=[rule])
    answers = [ask(internet, "/zones?name=example.test")[0] for _ in range(2)]
    assert answers == [429, 200]


def test_an_unknown_switch_is_an_error(internet: Internet) -> None:
    """A test that misspells a switch does not pass by accident."""
    with pytest.raises(AssertionError, match="dely"):
        internet.control(dely={})

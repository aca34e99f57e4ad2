"""What Apache answers by itself: discovery documents, the landing page, and failures of Synapse."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import pytest

from tests.apache.apache_container import ApacheContainer, Start
from tests.apache.configuration import plan_domain
from tests.support.engine import docker
from tests.support.http import Answer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

CORS: Final = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
)


def assert_cors(answer: Answer) -> None:
    """Check that a browser may read the answer: every header once, and any origin allowed."""
    assert [len(answer.headers.get_all(name, [])) for name in CORS] == [1, 1, 1]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("spelling", ["client", "server", "support", "client/", "server?x=1"])
def test_discovery_documents_are_served(domain: ApacheContainer, spelling: str) -> None:
    """A discovery document is JSON with CORS, cached for an hour, with or without a slash or a query."""
    answer = domain.ask(f"/.well-known/matrix/{spelling}")
    assert answer.status == 200
    assert isinstance(answer.json, dict)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert_cors(answer)


@pytest.mark.parametrize(
    ("method", "name", "status", "errcode"),
    [
        ("GET", "policy_server", 404, "M_NOT_FOUND"),
        ("GET", "", 404, "M_NOT_FOUND"),
        ("GET", "client/more", 404, "M_NOT_FOUND"),
        ("GET", "client.json", 404, "M_NOT_FOUND"),
        ("POST", "client", 405, "M_UNRECOGNIZED"),
        ("DELETE", "server", 405, "M_UNRECOGNIZED"),
    ],
)
def test_discovery_errors_are_json(
    domain: ApacheContainer, method: str, name: str, status: int, errcode: str
) -> None:
    """What does not exist, or cannot be done, is answered in JSON that a browser may read."""
    answer = domain.ask(f"/.well-known/matrix/{name}", method=method, body=b"{}")
    assert (answer.status, answer.json["errcode"]) == (status, errcode)
    assert answer.headers["Content-Type"] == "application/json"
    assert_cors(answer)


@pytest.mark.parametrize(
    ("target", "status"),
    [("/_matrix/%zz", 400), ("/_matrix/" + 20_000 * "a", 414), ("/%zz", 400)],
)
def test_malformed_requests_are_refused_in_json(
    domain: ApacheContainer, target: str, status: int
) -> None:
    """What Apache refuses before it knows the path is JSON that a browser may read."""
    answer = domain.ask(target)
    assert answer.status == status
    assert answer.json["errcode"].startswith("M_")
    assert answer.headers.get_all("Content-Type") == ["application/json"]
    assert_cors(answer)


@pytest.mark.parametrize(
    "target", ["/", "/nowhere", "/_synapse/admin", "/_matrix", "/.well-known/matrix/client"]
)
def test_no_answer_of_apache_is_guessed_at(domain: ApacheContainer, target: str) -> None:
    """Browsers must not guess the type of Apache's pages and errors; one header says so."""
    answer = domain.ask(target)
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("target", ["/", "/.well-known/matrix/client", "/nowhere"])
def test_what_can_only_be_read_says_so_once(domain: ApacheContainer, target: str) -> None:
    """A 405 names the methods that are allowed, in one header."""
    answer = domain.ask(target, method="POST", body=b"{}")
    assert answer.status == 405
    (allowed,) = answer.headers.get_all("Allow", [])
    assert {name.strip() for name in allowed.split(",")} == {"GET", "HEAD", "OPTIONS"}


def test_support_document_is_absent_without_contact(trial: ApacheContainer) -> None:
    """Without a contact there is no support document: 404, which clients ignore."""
    answer = trial.ask("/.well-known/matrix/support")
    assert (answer.status, answer.json["errcode"]) == (404, "M_NOT_FOUND")
    assert_cors(answer)


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
def test_preflight_of_a_discovery_document_succeeds(domain: ApacheContainer, method: str) -> None:
    """A browser's preflight, and a request for the head alone, succeed without a body."""
    answer = domain.ask("/.well-known/matrix/client", method=method)
    assert (answer.status, answer.body) == (200, b"")
    assert_cors(answer)


def test_landing_page_says_how_to_sign_in(trial: ApacheContainer) -> None:
    """The page at / names the server and the address that a client asks for, and loads nothing."""
    answer = trial.ask("/")
    text = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "https://localhost:8443" in text
    assert "@name:localhost" in text
    assert "<script" not in text
    assert "<!--" not in text
    assert re.search(r"Certificate issued by CN=.+, valid until \w{3} .+ GMT\.", text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_answers_of_synapse_are_left_alone(domain: ApacheContainer) -> None:
    """An error that Synapse itself answers keeps its body and gets no second CORS header."""
    for status in (413, 502, 503, 504):
        answer = domain.ask(f"/_matrix/x?status={status}")
        assert (answer.status, answer.json["method"]) == (status, "GET")
        assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]
        assert "Retry-After" not in answer.headers


def test_broken_answer_is_503_in_json(domain: ApacheContainer) -> None:
    """A connection that Synapse drops becomes a 503, which Cloudflare passes on, in JSON."""
    answer = domain.ask("/_matrix/x?break=1")
    assert (answer.status, answer.json["errcode"]) == (503, "M_UNKNOWN")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Retry-After"] == "5"
    assert_cors(answer)


def test_late_answer_is_an_error_in_json(start: Start, backend: str) -> None:
    """An answer later than ProxyTimeout becomes a 503 that a Matrix client can read."""
    with start(plan_domain(), ProxyTimeout="1") as front:
        answer = front.ask("/_matrix/x?hold=5")
    assert (answer.status, answer.json["errcode"]) == (503, "M_UNKNOWN")
    assert_cors(answer)


def find_host(front: ApacheContainer) -> str:
    """Return which backend answers; nothing while none does."""
    answer = front.ask("/_matrix/x")
    return str(json.loads(answer.body)["host"]) if answer.status == 200 else ""


def test_synapse_is_found_at_its_new_address(
    start: Start, backend: str, backend_image: str, network: str
) -> None:
    """While Synapse is away clients read 503 in JSON; at a new address it is found within 10 s."""
    where = ("--network", network, "--network-alias", "synapse")
    with start(plan_domain()) as front:
        first = find_host(front)
        docker("stop", "--time", "0", backend)
        try:
            wait_for(lambda: front.ask("/_matrix/x").status == 503, "a 503", 15)
            answer = front.ask("/_matrix/x")
            assert answer.json["errcode"] == "M_UNKNOWN"
            assert answer.headers["Retry-After"] == "5"
            assert_cors(answer)
            # The first takes the address that just became free, so that the second gets another.
            new = [docker("run", "--detach", "--network", network, backend_image)]
            new.append(docker("run", "--detach", *where, backend_image))
            wait_for(lambda: find_host(front) not in ("", first), "the new Synapse", 10)
            docker("rm", "--force", *new)
        finally:
            docker("start", backend)
        wait_for(lambda: find_host(front) == first, "the old Synapse", 10)


def test_the_age_of_the_packages_is_served_inside_alone(domain: ApacheContainer) -> None:
    """`check` reads it from an empty file; a client from the tunnel is refused."""
    answer = domain.ask("/packages-date")
    assert (answer.status, answer.body) == (200, b"")
    assert parsedate_to_datetime(answer.headers["Last-Modified"]) <= datetime.now(UTC)
    stranger = domain.ask("/packages-date", ("CF-Connecting-IP", "198.51.100.7"))
    assert stranger.status == 403
    assert "Last-Modified" not in stranger.headers

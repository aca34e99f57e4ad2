"""What reaches Synapse, and what does not."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.apache.apache_container import ApacheContainer, list_received
from tests.apache.configuration import UPLOAD_LIMIT
from tests.support.engine import docker

pytestmark = pytest.mark.engine

UPLOAD: Final = "/_matrix/media/v3/upload"
# What may be sent where Synapse reads a body before it knows who sent it.
SMALL: Final = 256 * 1024


@pytest.mark.parametrize(
    "target",
    [
        "/_matrix/client/v3/directory/room/%23a%2Fb%3Aexample.org",
        "/_matrix/client/v3/rooms/!a%3Ab/state/x/%5C%25%3F%20~%7e",
        "/_matrix/a//b/../c/./d;e=f?g=%2F&h=+&i",
        "/_matrix//client/versions",
        "/_matrix/federation/v1/event/$a%2Bb+c",
        "/_synapse/client/pick_username/?next=%2F..%2Fadmin",
    ],
)
def test_path_bytes_are_kept(domain: ApacheContainer, target: str) -> None:
    """A request target reaches Synapse byte for byte, since servers sign it."""
    assert domain.ask(target).json["target"] == target


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/_synapse/admin/v1/server_version", 403),
        ("/_synapse//admin/v1/users", 403),
        ("/_synapse/%61dmin/v1/users", 403),
        ("/_synapse/client/../admin/v1/users", 403),
        ("/_synapse/client/%2e%2e/admin/v1/users", 403),
        ("/_synapse/client/..%2fadmin/v1/users", 403),
        ("/_synapse/client/..%5Cadmin/v1/users", 403),
        ("/_matrix/../_synapse/admin/v1/users", 403),
        ("/_matrix/%2e%2e/_synapse/admin/v1/users", 403),
        ("/_synapse/mas/provision", 403),
        ("/_synapse", 404),
        ("//_matrix/client/versions", 404),
        ("/%5Fmatrix/client/versions", 404),
        ("/x/../_matrix/client/versions", 404),
        ("/_synapse//client/x", 404),
        ("/_matrix", 404),
        ("/_matrixes/x", 404),
        ("/health", 404),
        ("/server-status", 404),
        ("/well-known/client.json", 404),
        ("/httpd.conf", 404),
        ("/htdocs/", 404),
    ],
)
def test_everything_else_is_closed(domain: ApacheContainer, target: str, status: int) -> None:
    """A path that is not on the list of open ones ends at Apache, with a short plain text."""
    answer = domain.ask(target)
    assert answer.status == status
    assert len(answer.body) < 60
    assert answer.headers["Server"] == "Apache"


def test_absolute_target_is_not_passed_on(domain: ApacheContainer) -> None:
    """A request that names another server in its target is not proxied anywhere."""
    assert domain.ask("http://elsewhere.test/_matrix/client/versions").status == 404


SPOOFED: Final = (
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-For", "7.7.7.7"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "evil.test"),
    ("Forwarded", "for=6.6.6.6"),
    ("X-Real-IP", "6.6.6.6"),
    ("Connection", "X-Forwarded-For, X-Forwarded-Proto"),
)


@pytest.mark.parametrize("claimed", ["203.0.113.9", "2001:db8::9"])
def test_client_address_comes_from_the_tunnel(domain: ApacheContainer, claimed: str) -> None:
    """CF-Connecting-IP from cloudflared's address is the one client address Synapse sees."""
    answer = domain.ask("/_matrix/x", ("CF-Connecting-IP", claimed), *SPOOFED)
    assert list_received(answer, "X-Forwarded-For") == [claimed]
    assert list_received(answer, "X-Forwarded-Proto") == ["https"]
    assert list_received(answer, "X-Forwarded-Host") == [domain.homeserver]
    assert list_received(answer, "Host") == [domain.homeserver]
    assert list_received(answer, "Forwarded") + list_received(answer, "X-Real-IP") == []


def test_client_address_of_others_is_not_trusted(domain: ApacheContainer, backend: str) -> None:
    """A peer that is not cloudflared is the client itself, whatever its headers claim."""
    script = (
        "import http.client as h, ssl, sys;"
        "c = h.HTTPSConnection(sys.argv[1], context=ssl._create_unverified_context());"
        "c.request('GET', '/_matrix/x', headers={'CF-Connecting-IP': '203.0.113.9',"
        " 'X-Forwarded-For': '6.6.6.6'});"
        "print(c.getresponse().read().decode())"
    )
    find = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    apache, peer = (
        docker("inspect", "--format", find, name) for name in (domain.container, backend)
    )
    seen = dict(json.loads(docker("exec", backend, "python3", "-c", script, apache))["headers"])
    assert seen["X-Forwarded-For"] == peer
    assert "CF-Connecting-IP" not in seen


def test_trial_trusts_no_proxy(trial: ApacheContainer, gateway: str) -> None:
    """Without a tunnel the peer is the client."""
    answer = trial.ask("/_matrix/x", ("CF-Connecting-IP", "203.0.113.9"), *SPOOFED)
    assert list_received(answer, "X-Forwarded-For") == [gateway]


def test_upload_up_to_the_limit_passes(domain: ApacheContainer) -> None:
    """An upload of exactly max_upload_size reaches Synapse whole."""
    answer = domain.ask(UPLOAD, method="POST", body=bytes(UPLOAD_LIMIT))
    assert answer.json["length"] == UPLOAD_LIMIT


@pytest.mark.parametrize(
    ("target", "length"),
    [
        ("/_matrix/client/v3/login", SMALL),
        ("/_matrix/client/v3/keys/upload?x=/login", 4 * 2**20),
        ("/_matrix/client/unstable/room_keys/keys", 4 * 2**20),
        ("/_matrix/client/v3/rooms/!a%2Fb%3Ac/send/m.x/%25?a=%2F&b", 100),
        ("/_matrix/federation/v1/send/1%2F2", 10 * 2**20),
        ("/_matrix/federation/v2/send_join/!a%3Ab/$c%2Bd?x", 2**20),
        ("/_matrix/a//b/../c/./d;e=f?g=%2F&h=+&i", SMALL),
        ("/_synapse/client/pick_username/?next=%2F..%2Fadmin", 1),
    ],
)
def test_body_up_to_its_limit_passes(domain: ApacheContainer, target: str, length: int) -> None:
    """A body of what its path allows reaches Synapse whole, and the target byte for byte."""
    answer = domain.ask(target, method="POST", body=bytes(length))
    assert (answer.json["length"], answer.json["target"]) == (length, target)


@pytest.mark.parametrize(
    "connection",
    [
        "x-forwardedx-forwarded-proto-proto",
        "close, X-Forwarded-Proto",
        "keep-alive, x-forwarded-for, x-forwarded-proto, host",
    ],
)
def test_client_can_take_no_header_away(domain: ApacheContainer, connection: str) -> None:
    """Headers that the client names in Connection, however they are spelled, still reach Synapse."""
    answer = domain.ask("/_matrix/x", ("Connection", connection))
    assert list_received(answer, "X-Forwarded-Proto") == ["https"]
    assert len(list_received(answer, "X-Forwarded-For")) == 1
    assert (answer.headers["Connection"] == "close") == connection.startswith("close")


@pytest.mark.parametrize(
    ("target", "length"),
    [
        (UPLOAD, UPLOAD_LIMIT + 1),
        (UPLOAD, 2**63 - 1),
        ("/_matrix/media/v3/upload/example.org/abc", UPLOAD_LIMIT + 1),
        ("/_matrix/media/v3/uploads", SMALL + 1),
        ("/_matrix/media/v1/create", SMALL + 1),
        ("/_matrix/client/v3/keys/upload", 4 * 2**20 + 1),
        ("/_matrix/client/v3/login", SMALL + 1),
        ("/_matrix/client/v3/login?x=/rooms/", SMALL + 1),
        ("/_matrix/client/api/v1/login", SMALL + 1),
        ("/_matrix/client/unstable/login/get_token", SMALL + 1),
        ("/_matrix/client/r0/register", SMALL + 1),
        ("/_matrix/client/v3/register/email/requestToken", SMALL + 1),
        ("/_matrix/client/v3/account/password", SMALL + 1),
        ("/_matrix/client/v3/account/deactivate", SMALL + 1),
        ("/_matrix/client/v3/refresh", SMALL + 1),
        ("/_matrix/client/v3/refresh/", SMALL + 1),
        ("/_matrix/client/v3/directory/room/%23a%3Ab", SMALL + 1),
        ("/_matrix/client/v3/%6cogin", 4 * 2**20 + 1),
        ("/_matrix/%63lient/v3/keys/upload", SMALL + 1),
        ("/_matrix//client/v3/keys/upload", SMALL + 1),
        ("/_synapse/client/x", SMALL + 1),
        ("/_matrix/key/v2/query", SMALL + 1),
        ("/_matrix/app/v1/x", SMALL + 1),
        ("/_matrix/federation/v1/send/1", 10 * 2**20 + 1),
        ("/_matrix/federation/v1/send/1/", 10 * 2**20 + 1),
        ("/_matrix/federation/v1/send/1/2", 2**20 + 1),
        ("/_matrix/federation/v1/invite/../send/1", 2**20 + 1),
        ("/_matrix/federation/v2/send_join/!a%3Ab/$c", 2**20 + 1),
    ],
)
def test_larger_body_is_refused_before_it_is_read(
    domain: ApacheContainer, target: str, length: int
) -> None:
    """A body above its limit is answered with M_TOO_LARGE, readable for browsers, at once."""
    answer = domain.ask(target, ("Content-Length", str(length)), method="POST")
    assert (answer.status, answer.json["errcode"]) == (413, "M_TOO_LARGE")
    assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert answer.headers.get_all("Content-Type") == ["application/json"]


def test_body_of_unknown_length_is_refused(domain: ApacheContainer) -> None:
    """A chunked body, whose length no limit could check, never reaches Synapse."""
    answer = domain.ask(UPLOAD, method="POST", body=(bytes(1000) for _ in range(3)))
    assert (answer.status, answer.json["errcode"]) == (411, "M_UNKNOWN")
    assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]


def test_proxied_answers_stay_out_of_shared_caches(domain: ApacheContainer) -> None:
    """Cloudflare must not store Synapse's answers; browsers must stay with https."""
    headers = domain.ask("/_matrix/x").headers
    assert headers["Cloudflare-CDN-Cache-Control"] == "no-store"
    assert headers["Strict-Transport-Security"] == "max-age=63072000"


def test_trial_sends_no_hsts(trial: ApacheContainer) -> None:
    """The trial does not force https on localhost, which other software uses too."""
    assert "Strict-Transport-Security" not in trial.ask("/_matrix/x").headers


def test_log_names_client_and_peer_and_no_query(domain: ApacheContainer, gateway: str) -> None:
    """A failure is logged with both addresses and the path, without a token in query or referrer."""
    marks = (("CF-Connecting-IP", "203.0.113.77"), ("Referer", "https://x/?access_token=sekret"))
    domain.ask("/_matrix/good?access_token=sekret", *marks)
    domain.ask("/closed?access_token=sekret", *marks)
    for malformed in ("/_matrix/../..", "/%zz", "/_matrix/%00"):
        domain.ask(f"{malformed}?access_token=sekret", *marks)
    domain.ask("/_matrix/broken?break=1&access_token=sekret", *marks)
    logs = domain.logs()
    assert f"203.0.113.77 {gateway} [" in logs
    assert '"GET /closed HTTP/1.1" 404' in logs
    assert "/_matrix/good" not in logs
    assert "sekret" not in logs

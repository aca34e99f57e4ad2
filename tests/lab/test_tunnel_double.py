"""The tunnel's double, run as a real process between a visitor and a TLS origin on loopback.

These tests follow requests; what the double refuses is tested beside it, in its image's folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "images" / "cloudflared"))

from tunnel_tests.authority import HOST, Authority
from tunnel_tests.double_process import Tunnel, run_tunnel, write_files
from tunnel_tests.fixtures import authority, files, origin, tunnel
from tunnel_tests.recording_origin import OriginServer

# pytest finds fixtures by their names in this module.
__all__ = ["authority", "files", "origin", "tunnel"]


def test_path_bytes(tunnel: Tunnel, origin: OriginServer) -> None:
    """Path and query reach the origin byte for byte, or signed requests would not verify."""
    targets = [
        "/_matrix/client/v3/directory/room/%23a%2Fb%3Aexample.org",
        "//double//slash/./dot/../up/",
        "/p?",
        "/p?a=%2F&b=c?d&e=+",
        "/(x)[y]{z}|~%7e;v=1,@:$!*'",
    ]
    for target in targets:
        assert tunnel.visit(target).status == 200
    assert [seen.line for seen in origin.seen] == [f"GET {target} HTTP/1.1" for target in targets]


def test_visitor_address(tunnel: Tunnel, origin: OriginServer) -> None:
    """The visitor's address is appended to X-Forwarded-For and replaces CF-Connecting-IP."""
    tunnel.visit(
        headers=(
            ("X-Lab-Visitor", "198.51.100.7"),
            ("X-Forwarded-For", "6.6.6.6"),
            ("CF-Connecting-IP", "6.6.6.6"),
            ("X-Forwarded-Proto", "http"),
            ("X-Real-IP", "6.6.6.6"),
        )
    )
    (seen,) = origin.seen
    assert seen.get_all("X-Forwarded-For") == ["6.6.6.6, 198.51.100.7"]
    assert seen.get_all("CF-Connecting-IP") == ["198.51.100.7"]
    assert seen.get_all("X-Forwarded-Proto") == ["https"]
    assert seen.get_all("X-Real-IP") == ["6.6.6.6"]
    assert seen.get_all("X-Lab-Visitor") == []


def test_visitor_without_header(tunnel: Tunnel, origin: OriginServer) -> None:
    """Without the test's header the visitor is the peer of the connection."""
    tunnel.visit()
    assert origin.seen[0].get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert origin.seen[0].get_all("CF-Connecting-IP") == ["127.0.0.1"]


def test_request_headers(tunnel: Tunnel, origin: OriginServer) -> None:
    """The origin gets Cloudflare's headers and the visitor's Host, and none that aiohttp adds."""
    tunnel.visit(
        headers=(
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("TE", "trailers"),
            ("Proxy-Authorization", "x"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
        )
    )
    (seen,) = origin.seen
    assert seen.get_all("Host") == [HOST]
    assert seen.get_all("CF-Visitor") == ['{"scheme":"https"}']
    assert seen.get_all("CDN-Loop") == ["cloudflare; loops=1"]
    assert len(seen.get_all("CF-Ray")) == 1
    assert seen.get_all("X-Twice") == ["1", "2"]
    assert seen.get_all("Connection") == ["keep-alive"]
    for absent in ("X-Hop", "TE", "Proxy-Authorization", "User-Agent", "Accept", "Content-Type"):
        assert seen.get_all(absent) == [], absent


def test_response_headers(tunnel: Tunnel) -> None:
    """The visitor gets the origin's own headers, without those of one hop and inner ones."""
    answer = tunnel.visit()
    assert answer.body == b"hello"
    assert answer.get_all("X-Public") == ["1"]
    assert answer.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.get_all("Server") == ["cloudflare"]
    for absent in ("X-Private", "Keep-Alive", "cf-int-secret", "Content-Type"):
        assert answer.get_all(absent) == [], absent


def test_head(tunnel: Tunnel) -> None:
    """An answer to HEAD keeps the length of the body that it does not carry."""
    answer = tunnel.visit(method="HEAD")
    assert (answer.get_all("Content-Length"), answer.body) == (["5"], b"")


def test_bodies(tunnel: Tunnel, origin: OriginServer) -> None:
    """A body keeps its bytes and its framing: a length stays a length, chunks stay chunks."""
    body = os.urandom(3_000_000)
    tunnel.visit(method="PUT", headers=(("Content-Length", str(len(body))),), body=body)
    parts = iter([body[:1000], body[1000:]])
    tunnel.visit(method="POST", headers=(("Transfer-Encoding", "chunked"),), body=parts)
    tunnel.visit(method="POST", headers=(("Content-Length", "0"),))
    assert [seen.body for seen in origin.seen] == [body, body, b""]
    assert [seen.get_all("Content-Length") for seen in origin.seen] == [["3000000"], [], ["0"]]


def test_kept_connection(tunnel: Tunnel, origin: OriginServer) -> None:
    """Requests one after another share a connection to the origin."""
    tunnel.visit()
    tunnel.visit()
    assert len({seen.connection for seen in origin.seen}) == 1


def test_connection_closed_by_origin(tunnel: Tunnel, origin: OriginServer) -> None:
    """When the origin drops a kept connection, GET goes out again and PUT is lost."""
    assert tunnel.visit("/once").status == 200
    assert tunnel.visit("/once").status == 200
    assert tunnel.visit("/once", method="PUT", headers=(("Content-Length", "0"),)).status == 502
    assert "Unable to reach the origin service" in tunnel.log.read_text()
    assert [seen.line.split()[0] for seen in origin.seen] == ["GET", "GET", "GET", "PUT"]


def test_idle_connection(tmp_path: Path, origin: OriginServer, authority: Authority) -> None:
    """The option keepAliveTimeout bounds how long an idle connection is used."""
    files = write_files(tmp_path, origin.port, authority.certificate, keepAliveTimeout="1ms")
    with run_tunnel(files) as tunnel:
        tunnel.visit()
        tunnel.visit()
    assert len({seen.connection for seen in origin.seen}) == 2


def test_other_host(tunnel: Tunnel, origin: OriginServer) -> None:
    """A host that no rule names gets the catch-all's answer and never reaches the origin."""
    assert tunnel.visit(host="other.example.org").status == 404
    assert tunnel.visit(host=f"{HOST}:443").status == 200
    assert len(origin.seen) == 1

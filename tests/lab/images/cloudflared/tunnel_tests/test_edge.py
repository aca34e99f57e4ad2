"""What the edge and the connector answer in place of the origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tunnel_double.edge import Limits

from tests.support.ports import find_port
from tunnel_tests.authority import Authority
from tunnel_tests.double_process import Files, Tunnel, run_tunnel, write_files
from tunnel_tests.recording_origin import OriginServer


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"originServerName": "other.example.org"}, id="other name"),
        pytest.param({"originServerName": None}, id="name of the service"),
        pytest.param({"caPool": None}, id="unknown authority"),
    ],
)
def test_unproven_origin(
    tmp_path: Path, origin: OriginServer, authority: Authority, options: dict[str, Any]
) -> None:
    """An origin whose certificate does not prove its name gets no request; the visitor gets 502."""
    with run_tunnel(write_files(tmp_path, origin.port, authority.certificate, **options)) as tunnel:
        answer = tunnel.visit()
        assert answer.status == 502
        assert answer.get_all("Content-Type")[0].startswith("text/html")
        assert "Unable to reach the origin service" in tunnel.log.read_text()
    assert origin.seen == []


def test_unverified_origin(tmp_path: Path, origin: OriginServer, authority: Authority) -> None:
    """With noTLSVerify any certificate will do."""
    options = {"noTLSVerify": True, "caPool": None, "originServerName": None}
    with run_tunnel(write_files(tmp_path, origin.port, authority.certificate, **options)) as tunnel:
        assert tunnel.visit().status == 200


def test_absent_origin(tmp_path: Path, authority: Authority) -> None:
    """An origin that is not there is a 502 for the visitor."""
    with run_tunnel(write_files(tmp_path, find_port(), authority.certificate)) as tunnel:
        assert tunnel.visit().status == 502


def test_announced_body_too_large(tunnel: Tunnel, origin: OriginServer) -> None:
    """A body announced above 100 MB is refused with HTML before the origin hears of it."""
    too_long = (("Content-Length", "100000001"),)
    answer = tunnel.visit(method="PUT", headers=too_long)
    assert answer.status == 413
    assert b"<html>" in answer.body
    assert tunnel.visit(method="PUT", headers=(*too_long, ("Expect", "100-continue"))).status == 413
    assert origin.seen == []


def test_unannounced_body_too_large(files: Files) -> None:
    """A body that turns out too large on its way is refused too."""
    with run_tunnel(files, LAB_BODY_BYTES="1000000") as tunnel:
        parts = iter([bytes(600_000), bytes(600_000)])
        chunked = (("Transfer-Encoding", "chunked"),)
        assert tunnel.visit(method="POST", headers=chunked, body=parts).status == 413


def test_slow_origin(files: Files) -> None:
    """A response that does not begin in time becomes a 524."""
    with run_tunnel(files, LAB_RESPONSE_SECONDS="0.3") as tunnel:
        assert tunnel.visit("/hold").status == 524


def test_limits() -> None:
    """The limits are Cloudflare's: 100 MB, 100 s, 16 KB of address, 32 KB of headers."""
    limits = Limits()
    assert (limits.body, limits.response) == (100_000_000, 100.0)
    assert (limits.target, limits.headers) == (16 * 1024, 32 * 1024)


def test_long_target(tunnel: Tunnel, origin: OriginServer) -> None:
    """An address of 16 KB passes; a longer one is refused."""
    assert tunnel.visit("/" + "a" * 16383).status == 200
    assert tunnel.visit("/" + "a" * 16384).status == 414
    assert len(origin.seen) == 1

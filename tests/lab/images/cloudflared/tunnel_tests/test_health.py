"""Readiness, and the way a running tunnel ends."""

from __future__ import annotations

import signal
import socket
import threading

import pytest

from tests.support.http import Answer
from tests.support.ports import find_port
from tests.support.waiting import PATIENCE, wait_for
from tunnel_tests.authority import HOST
from tunnel_tests.double_process import (
    Files,
    Tunnel,
    run_double,
    run_tunnel,
)
from tunnel_tests.recording_origin import OriginServer


def test_ready(tunnel: Tunnel) -> None:
    """The probe succeeds while the tunnel is up, whether a flag or a variable names the address."""
    assert run_double("tunnel", "--metrics", tunnel.metrics, "ready").returncode == 0
    assert run_double("tunnel", "ready", TUNNEL_METRICS=tunnel.metrics).returncode == 0
    status, content = tunnel.ask_readiness()
    assert (status, content["status"], content["readyConnections"]) == (200, 200, 4)


def test_not_ready() -> None:
    """The probe fails without an address and where nothing listens."""
    assert "--metrics has to be provided" in run_double("tunnel", "ready").stderr
    assert run_double("tunnel", "ready").returncode == 1
    address = f"127.0.0.1:{find_port()}"
    assert run_double("tunnel", "--metrics", address, "ready").returncode == 1


def test_stop_waits(tunnel: Tunnel, origin: OriginServer) -> None:
    """SIGTERM ends readiness and new requests at once, and the process after those in flight."""
    answers: list[Answer] = []
    visitor = threading.Thread(target=lambda: answers.append(tunnel.visit("/hold")))
    visitor.start()
    assert origin.held.wait(PATIENCE)
    tunnel.process.send_signal(signal.SIGTERM)
    wait_for(lambda: tunnel.ask_readiness()[0] == 503, "draining")
    probe = run_double("tunnel", "--metrics", tunnel.metrics, "ready")
    assert (probe.returncode, "503" in probe.stderr) == (1, True)
    with pytest.raises(ConnectionRefusedError):
        tunnel.visit()
    assert tunnel.process.poll() is None
    origin.release.set()
    visitor.join(PATIENCE)
    assert tunnel.process.wait(PATIENCE) == 0
    assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize("period", ["300ms", "0s"])
def test_stop_is_bounded(files: Files, origin: OriginServer, period: str) -> None:
    """A request that outlasts the grace period does not keep the process."""
    with (
        run_tunnel(files, TUNNEL_GRACE_PERIOD=period) as tunnel,
        socket.create_connection(("127.0.0.1", tunnel.public)) as visitor,
    ):
        visitor.sendall(f"GET /hold HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert origin.held.wait(PATIENCE)
        tunnel.process.send_signal(signal.SIGTERM)
        assert tunnel.process.wait(PATIENCE) == 0

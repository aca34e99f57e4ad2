"""Free ports on 127.0.0.1, each given out once."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final


def choose_ports(worker: str) -> Iterator[int]:
    """Return the ports of one of the processes that pytest-xdist starts (gw0, gw1, …), or of a lone one.

    They are below those that the kernel gives to connections, so that none of these takes one
    before its server has started.
    """
    number = 1 + int(worker.removeprefix("gw")) % 11 if worker else 0
    first = 20000 + 1000 * number
    return iter(range(first, first + 1000))


_PORTS: Final = choose_ports(os.environ.get("PYTEST_XDIST_WORKER", ""))


def find_port() -> int:
    """Return a port that is free now, and that this process has not returned before."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port is taken")

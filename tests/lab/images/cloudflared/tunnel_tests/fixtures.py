"""The parts of a test in a row: authority, origin, files, tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tunnel_tests.authority import Authority, make_authority
from tunnel_tests.double_process import Files, Tunnel, run_tunnel, write_files
from tunnel_tests.recording_origin import OriginServer, serve_origin


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that certified the origin for HOST and for nothing else."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def origin(authority: Authority) -> Iterator[OriginServer]:
    """Run an origin with HOST's certificate and no memory."""
    with serve_origin(authority.context) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path, origin: OriginServer, authority: Authority) -> Files:
    """Write the bundle's files, for the origin of this test."""
    return write_files(tmp_path, origin.port, authority.certificate)


@pytest.fixture
def tunnel(files: Files) -> Iterator[Tunnel]:
    """Run a double that leads to the origin of this test."""
    with run_tunnel(files) as running:
        yield running

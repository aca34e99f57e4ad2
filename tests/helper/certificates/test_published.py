"""Only a good certificate is ever live, and a kill leaves the old one or the new one."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundle_helper.certificates import local_authority, published, validation
from bundle_helper.certificates.published import LIVE, PREVIOUS
from bundle_helper.errors import HelperError

NAMES = ("matrix.example.org", "example.org", "127.0.0.1")
NOW = datetime.now(UTC)
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def pem(issuer: local_authority.Authority) -> bytes:
    return local_authority.issue(issuer, NAMES, NOW)


def test_the_published_file_is_for_its_group_alone(tmp_path: Path, pem: bytes) -> None:
    """The owner writes, the given group reads, no one else does."""
    published.publish(tmp_path, validation.validate(pem, NAMES, NOW), group=33)
    found = (tmp_path / LIVE).stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o640, 33)
    assert (tmp_path / LIVE).read_bytes() == pem


def test_the_replaced_certificate_is_kept(
    tmp_path: Path, pem: bytes, issuer: local_authority.Authority
) -> None:
    """After a second publication the first one is previous.pem."""
    second = local_authority.issue(issuer, NAMES, NOW)
    for each in (pem, second):
        published.publish(tmp_path, validation.validate(each, NAMES, NOW), group=33)
    assert (tmp_path / LIVE).read_bytes() == second
    assert (tmp_path / PREVIOUS).read_bytes() == pem
    assert len(list(tmp_path.glob("*.pem"))) == len(list(tmp_path.glob("*.pem*"))) == 2


def test_a_directory_that_refuses_is_explained(tmp_path: Path, pem: bytes) -> None:
    """A volume that cannot be written gives one message with the path and what it needs."""
    with pytest.raises(HelperError, match="group_add"):
        published.publish(tmp_path / "no", validation.validate(pem, NAMES, NOW), group=33)


# Kills itself right before the given file system operation, counted by Python's audit events.
_KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from bundle_helper.certificates import published, validation
directory, candidate, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
names = sys.argv[4:]
new = validation.validate(candidate.read_bytes(), names, datetime.now(UTC))
fsync, steps = os.fsync, 0
def count(event="os.fsync", *_):
    global steps
    if event.startswith("os.") or event == "open":
        steps += 1
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
def counted_fsync(descriptor):
    count()
    fsync(descriptor)
    count()
os.fsync = counted_fsync
sys.addaudithook(count)
published.publish(directory, new, group=33)
"""


def test_a_kill_at_any_step_leaves_a_good_live_certificate(
    tmp_path: Path, pem: bytes, issuer: local_authority.Authority
) -> None:
    """However far publication came, live.pem is the old one or the new one, and it heals."""
    volume, candidate = tmp_path / "volume", tmp_path / "candidate.pem"
    volume.mkdir()
    old, new = pem, local_authority.issue(issuer, NAMES, NOW)
    candidate.write_bytes(new)
    (volume / LIVE).write_bytes(old)
    outcomes = set()
    for step in range(1, 40):
        command = [sys.executable, "-c", _KILLED, str(volume), str(candidate), str(step), *NAMES]
        code = subprocess.run(
            command, check=False, env={"PYTHONPATH": str(REPOSITORY / "images" / "helper")}
        ).returncode
        live = (volume / LIVE).read_bytes()
        assert live in {old, new}
        outcomes.add((code, live == new))
        if code == 0:
            break
        published.publish(volume, validation.validate(old, NAMES, NOW), group=33)
    assert outcomes == {(-9, False), (-9, True), (0, True)}

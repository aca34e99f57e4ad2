"""Fresh volumes get the owner their service runs as."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle_helper.database import volumes
from bundle_helper.errors import HelperError
from bundle_helper.settings.bootstrap_settings import VolumeOwner

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
def test_a_fresh_volume_changes_owner_once(tmp_path: Path) -> None:
    """The top directory gets user and group; the second run finds nothing to do."""
    owner = VolumeOwner(path=tmp_path, uid=991)
    assert volumes.ensure_owners([owner]) == (f"{tmp_path} now belongs to user 991",)
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_gid) == (991, 991)
    assert volumes.ensure_owners([owner]) == ()


@needs_root
@pytest.mark.parametrize("former", [0, 991])
def test_uploads_are_private(tmp_path: Path, former: int) -> None:
    """The directory for half-received uploads is closed to every other user, whoever owned it."""
    path = tmp_path / "uploads"
    path.mkdir(mode=0o755)
    os.chown(path, former, former)
    volumes.ensure_owners([VolumeOwner(path=path, uid=991)])
    found = path.stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (991, 0o700)


@needs_root
def test_a_missing_right_is_explained(tmp_path: Path) -> None:
    """Without the right to change owners the message names the volume, the user and the capability."""
    os.chown(tmp_path, 0, 0)
    os.seteuid(993)
    try:
        with pytest.raises(HelperError, match="CHOWN") as caught:
            volumes.ensure_owners([VolumeOwner(path=tmp_path, uid=991)])
    finally:
        os.seteuid(0)
    assert str(tmp_path) in caught.value.message


def test_a_volume_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    """A path without a mount is a mistake in the bundle, and reported as one."""
    with pytest.raises(HelperError, match="is not mounted"):
        volumes.ensure_owners([VolumeOwner(path=tmp_path / "no", uid=991)])


def test_a_volume_that_refuses_is_named_with_its_reason(tmp_path: Path) -> None:
    """Any error of the file system is reported in a sentence, not by a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(HelperError, match="Not a directory") as caught:
        volumes.ensure_owners([VolumeOwner(path=tmp_path / "file" / "media", uid=991)])
    assert str(tmp_path / "file" / "media") in caught.value.message

"""A user without a name gets one where a program demands it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bundle_helper.backup.identity import name_user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper's files say who it is, as /etc/passwd and /etc/group would."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    environment = name_user(tmp_path)
    assert environment["LD_PRELOAD"] == "libnss_wrapper.so"
    users = (tmp_path / "passwd").read_text()
    assert environment["NSS_WRAPPER_PASSWD"] == str(tmp_path / "passwd")
    assert users == f"owner:x:54321:{os.getegid()}::{tmp_path}:/bin/false\n"


def test_user_with_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a name keeps it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert name_user(tmp_path) == {}
    assert not list(tmp_path.iterdir())

"""What one process leaves for another is whole, readable and right from the first byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle_helper import report
from bundle_helper.errors import HelperError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A report survives the round trip and is readable for other users."""
    path = tmp_path / "report.json"
    former = os.umask(0o077)
    try:
        report.write(path, {"time": "now", "proof": {"é": [1, None]}})
    finally:
        os.umask(former)
    assert report.read(path) == {"time": "now", "proof": {"é": [1, None]}}
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_leftover_of_a_killed_run_does_not_disturb(tmp_path: Path) -> None:
    """A half-written file beside the report is replaced, whatever its mode."""
    (tmp_path / ".report.json.new").write_text("half")
    (tmp_path / ".report.json.new").chmod(0)
    report.write(tmp_path / "report.json", {"whole": True})
    assert report.read(tmp_path / "report.json") == {"whole": True}


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3"])
def test_an_unreadable_report_is_named(tmp_path: Path, content: str | None) -> None:
    """Missing, cut off or of another form: the message has the path."""
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HelperError, match=r"report\.json can not be read"):
        report.read(path)

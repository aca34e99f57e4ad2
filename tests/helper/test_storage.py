"""What one process leaves for another is whole, readable and right from the first byte."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundle_helper import storage
from bundle_helper.errors import HelperError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A report survives the round trip and is readable for other users."""
    path = tmp_path / "report.json"
    former = os.umask(0o077)
    try:
        storage.write_json(path, {"time": "now", "proof": {"é": [1, None]}})
    finally:
        os.umask(former)
    assert storage.read_json(path) == {"time": "now", "proof": {"é": [1, None]}}
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_leftover_of_a_killed_run_does_not_disturb(tmp_path: Path) -> None:
    """A half-written file beside the report is replaced, whatever its mode."""
    (tmp_path / ".report.json.new").write_text("half")
    (tmp_path / ".report.json.new").chmod(0)
    storage.write_json(tmp_path / "report.json", {"whole": True})
    assert storage.read_json(tmp_path / "report.json") == {"whole": True}


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3"])
def test_an_unreadable_report_is_named(tmp_path: Path, content: str | None) -> None:
    """Missing, cut off or of another form: the message has the path."""
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HelperError, match=r"report\.json cannot be read"):
        storage.read_json(path)


def test_many_writers_at_once_all_succeed(tmp_path: Path) -> None:
    """The last writer wins, whole; no writer disturbs another, and nothing is left beside the file."""
    file = tmp_path / "status.json"
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            done = [
                pool.submit(storage.write_json, file, {"writer": n, "x": "x" * n}) for n in range(8)
            ]
            for each in done:
                each.result()
        content = storage.read_json(file)
        assert content["x"] == "x" * content["writer"]
        assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_what_a_killed_writer_left_is_taken_over(tmp_path: Path) -> None:
    """Longer remains of another time do not shine through, and their mode does not stay."""
    file, left = tmp_path / "status.json", tmp_path / ".status.json.new"
    left.write_text("x" * 1000)
    left.chmod(0o666)
    storage.write_json(file, {"a": 1}, mode=0o600)
    assert storage.read_json(file) == {"a": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    assert not left.exists()

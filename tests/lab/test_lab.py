"""What the lab decides before it touches the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.lab.debian_mirror import read_sources
from tests.lab.images import digest_context, parse_version
from tests.lab.paths import RUNTIME, VARIABLE, find_paths

STANZAS: Final = """\
Types: deb deb-src
# a remark
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm-security
"""
LINES: Final = """\
# deb http://remark.test/debian bookworm-security main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/security bookworm-security main
deb http://later.test/debian bookworm main
"""


def test_mirror_is_read_from_both_styles(tmp_path: Path) -> None:
    """The mirror is the first address of a suite, in either style of sources file."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(STANZAS)
    (tmp_path / "sources.list").write_text(LINES)
    assert read_sources(tmp_path) == {
        "bookworm": "http://mirror.test/debian",
        "bookworm-updates": "http://mirror.test/debian",
        "bookworm-security": "http://mirror.test/security",
    }


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.26.1-4\n", (2, 26, 1)), ("v2.40.3", (2, 40, 3)), ("2.9.0+ds1", (2, 9, 0))],
)
def test_version_orders_by_number(text: str, version: tuple[int, ...]) -> None:
    """A distribution's suffix does not change which Compose is new enough."""
    assert parse_version(text) == version


def test_context_digest_sees_every_change(tmp_path: Path) -> None:
    """An image is built again when a file of its context changes in content, mode or name."""
    script = tmp_path / "start.sh"
    script.write_text("one")
    seen = [digest_context(tmp_path)]
    script.write_text("two")
    seen.append(digest_context(tmp_path))
    script.chmod(0o755)
    seen.append(digest_context(tmp_path))
    script.rename(tmp_path / "run.sh")
    seen.append(digest_context(tmp_path))
    assert len(set(seen)) == 4


def test_context_digest_ignores_caches(tmp_path: Path) -> None:
    """Bytecode that a test run left behind does not make an image outdated."""
    (tmp_path / "start.py").write_text("one")
    before = digest_context(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "start.pyc").write_text("cache")
    assert digest_context(tmp_path) == before


def test_socket_path_is_short_wherever_the_lab_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab in a long directory still has a socket whose path fits into 108 characters."""
    root = tmp_path / ("long" * 40)
    monkeypatch.setenv(VARIABLE, str(root))
    paths = find_paths()
    assert paths.root == root
    assert paths.socket.is_relative_to(RUNTIME)
    assert len(str(paths.socket)) < 108

"""A release: one verb, checked before anything changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

FILES = ("bin/release.py", "pyproject.toml", "README.md", "LICENSE")
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A thing.\n\n## 0.0.9 - 2026-01-01\n"


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A small repository of its own, at version 0.1.0, with what a release needs."""
    place = tmp_path / "checkout"
    for name in FILES:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, place / name)
    package = place / "generator" / "synapse_bundle"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        '__version__ = "0.1.0"\nRELEASED = datetime(2026, 1, 1, tzinfo=UTC)\n'
    )
    for name in ("compose", "images"):
        (place / name).mkdir()
        (place / name / "file").write_text("x\n")
    (place / "CHANGELOG.md").write_text(CHANGELOG)
    (place / ".gitignore").write_text("dist\n")
    git(place, "init", "--quiet")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "--message", "first")
    return place


def git(place: Path, *arguments: str) -> str:
    """Run git with a name and an address."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


def release(place: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run the verb's command in a checkout."""
    git(place, "config", "user.name", "Test")
    git(place, "config", "user.email", "test@example.org")
    command = [sys.executable, "bin/release.py", version]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


def test_a_release_has_version_changelog_tag_wheel_and_sdist(checkout: Path) -> None:
    """All five agree, and the next changes have a place to be written."""
    done = release(checkout, "0.2.0")
    assert done.returncode == 0, done.stderr
    today = datetime.now(UTC)
    assert git(checkout, "show", "v0.2.0:generator/synapse_bundle/__init__.py") == (
        '__version__ = "0.2.0"\n'
        f"RELEASED = datetime({today.year}, {today.month}, {today.day}, tzinfo=UTC)"
    )
    changelog = (checkout / "CHANGELOG.md").read_text()
    assert changelog.startswith("# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2")
    assert changelog.endswith("\n\n### Added\n\n- A thing.\n\n## 0.0.9 - 2026-01-01\n")
    names = sorted(path.name for path in (checkout / "dist").iterdir())
    assert names == ["synapse_bundle-0.2.0-py3-none-any.whl", "synapse_bundle-0.2.0.tar.gz"]
    assert git(checkout, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("", "VERSION must be three numbers"),
        ("v0.2.0", "VERSION must be three numbers"),
        ("0.1.0", "0.1.0 is not newer than 0.1.0"),
    ],
)
def test_a_wrong_version_changes_nothing(checkout: Path, version: str, reason: str) -> None:
    """A mistake is named, and nothing is written."""
    done = release(checkout, version)
    assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag", "--list") == ""


def test_every_obstacle_is_named_at_once(checkout: Path) -> None:
    """An empty changelog, a dirty checkout and a tag that exists are one refusal."""
    (checkout / "CHANGELOG.md").write_text(CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""))
    git(checkout, "tag", "v0.2.0")
    done = release(checkout, "0.2.0")
    assert done.returncode == 1
    for reason in ("nothing under Unreleased", "uncommitted changes", "a tag v0.2.0 already"):
        assert reason in done.stderr

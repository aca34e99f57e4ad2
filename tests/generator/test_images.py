"""Pins: one data file, moved by one function, with known bad versions kept out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synapse_bundle import images
from synapse_bundle.errors import BundleError


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """A copy of the data file."""
    path = tmp_path / "images.toml"
    path.write_bytes(images.PINS.read_bytes())
    return path


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("cloudflared", "2026.8.0"),
        ("cloudflared", "2026.8.1"),
        ("synapse", "v1.157.1"),
        ("synapse", "v1.99.0"),
    ],
)
def test_denied_versions_stay_out(pins: Path, name: str, tag: str) -> None:
    """Versions that break or endanger a server are refused, and the file stays as it was."""
    before = pins.read_bytes()
    with pytest.raises(BundleError, match=f"{name}: .*{re.escape(tag)}"):
        images.move(name, tag=tag, digest="sha256:0", path=pins)
    assert pins.read_bytes() == before


def test_denied_versions_are_refused_when_read(pins: Path) -> None:
    """Editing the data file by hand does not get around the list."""
    pins.write_text(pins.read_text().replace('tag = "2026.8.2"', 'tag = "2026.8.1"'))
    with pytest.raises(BundleError, match="denied"):
        images.read_pins(pins)


def test_moving_a_pin_changes_its_three_lines_alone(pins: Path) -> None:
    """Comments and other images survive a move."""
    before = pins.read_text().splitlines()
    images.move("synapse", tag="v1.164.0", digest="sha256:1", path=pins)
    after = pins.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    today = datetime.now(UTC).date()
    assert [new for _, new in changed] == [
        'tag = "v1.164.0"',
        'digest = "sha256:1"',
        f'recorded = "{today}"',
    ]
    assert images.read_pins(pins)["synapse"].reference == "matrixdotorg/synapse:v1.164.0"


def test_own_images_build_on_the_pinned_base(repository: Path) -> None:
    """The Dockerfiles name the base image of the data file and no other."""
    base = images.read_pins()["debian"].reference
    for path in (repository / "images").glob("*/Dockerfile"):
        named = re.findall(r"(?m)^FROM (\S+)", path.read_text())
        stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", path.read_text()))
        assert set(named) - stages == {base}, path


def test_the_major_version_is_the_one_of_the_data_directory() -> None:
    """The PostgreSQL tag and the versioned data directory move together."""
    from synapse_bundle.topology import POSTGRES

    major = images.version_of(images.read_pins()["postgres"].tag)[0]
    assert POSTGRES.data == f"{POSTGRES.home}/{major}/docker"

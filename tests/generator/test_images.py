"""Pins: one data file, updated by one tool, with known bad versions kept out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bin import update_images
from synapse_bundle import images
from synapse_bundle.errors import BundleError, SettingsError

DIGEST = f"sha256:{'0f' * 32}"


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
        update_images.update({name: (tag, DIGEST)}, path=pins)
    assert pins.read_bytes() == before


def test_denied_versions_are_refused_when_read(pins: Path) -> None:
    """Editing the data file by hand does not get around the list."""
    pins.write_text(pins.read_text().replace('tag = "2026.8.2"', 'tag = "2026.8.1"'))
    with pytest.raises(BundleError, match="denied"):
        images.read_pins(pins)


def test_moving_a_pin_changes_its_three_lines_alone(pins: Path) -> None:
    """Comments and other images survive a move."""
    before = pins.read_text().splitlines()
    update_images.update({"synapse": ("v1.164.0", DIGEST)}, path=pins)
    after = pins.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    today = datetime.now(UTC).date()
    assert [new for _, new in changed] == [
        'tag = "v1.164.0"',
        f'digest = "{DIGEST}"',
        f'recorded = "{today}"',
    ]
    assert images.read_pins(pins)["synapse"].reference == "matrixdotorg/synapse:v1.164.0"


def test_own_images_build_on_the_pinned_base(repository: Path) -> None:
    """The Dockerfiles name the base image of the data file and no other, but one by an argument."""
    base = images.read_pins()["debian"].reference
    for path in (repository / "images").glob("*/Dockerfile"):
        named = re.findall(r"(?m)^FROM (\S+)", path.read_text())
        stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", path.read_text()))
        assert set(named) - stages - {"${POSTGRES_IMAGE}"} == {base}, path


def test_the_major_version_is_the_one_of_the_data_directory() -> None:
    """The PostgreSQL tag and the versioned data directory move together."""
    from synapse_bundle.topology import POSTGRES

    major = images.version_of(images.read_pins()["postgres"].tag)[0]
    assert POSTGRES.of_version(major) == POSTGRES
    assert POSTGRES.data == f"{POSTGRES.home}/{major}/docker"


@pytest.mark.parametrize(
    ("major", "tag"), [(0, "18-trixie"), (18, "18-trixie"), (17, "17-trixie"), (99, "18-trixie")]
)
def test_a_bundle_has_one_postgresql(major: int, tag: str) -> None:
    """That of its data, where it is supported; otherwise the newest."""
    pins = images.choose_pins(major)
    assert pins["postgres"].tag == tag
    assert [name for name in pins if name.startswith("postgres")] == ["postgres"]


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        (
            ["foo=1"],
            "'foo' is not an image; the images are: postgres, postgres-17, synapse, valkey, cloud",
        ),
        (["foo"], "'foo' is not an image"),
        (["synapse"], "'synapse' names no tag; use for example synapse=v"),
        (["synapse="], "'synapse=' names no tag"),
        (['synapse=v1"'], "names no tag"),
        (["synapse=v1.164.0\nx"], "names no tag"),
        (["debian=sid", "foo=1", "bar"], "'bar' is not an image"),
    ],
)
def test_a_move_that_means_nothing_is_refused(moves: list[str], message: str) -> None:
    """A name that is not there and a tag that is none are reported, all at once."""
    with pytest.raises(SettingsError) as caught:
        update_images.parse(moves)
    assert message in caught.value.message
    assert len(caught.value.message.splitlines()) == 1 + sum("debian" not in m for m in moves)


@pytest.mark.parametrize(
    ("tag", "digest"),
    [('v1.164.0"', DIGEST), ("v1.164.0", ""), ("v1.164.0", 'sha256:"'), ("v1.164.0", "no answer")],
)
def test_nothing_that_is_no_pin_is_written(pins: Path, tag: str, digest: str) -> None:
    """The data file can always be read again."""
    before = pins.read_bytes()
    with pytest.raises(BundleError, match="is not a pin"):
        update_images.update({"debian": ("sid", DIGEST), "synapse": (tag, digest)}, path=pins)
    assert pins.read_bytes() == before
    assert list(pins.parent.iterdir()) == [pins]


@pytest.mark.parametrize("move", ["foo=1", "foo", 'synapse=v"'])
def test_a_pin_that_cannot_be_moved_is_reported_in_words(
    move: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip of the finger asks no registry, and changes nothing."""
    before = images.PINS.read_bytes()
    assert update_images.main([move]) == 2
    assert "The pins cannot be moved; nothing was changed." in capsys.readouterr().err
    assert images.PINS.read_bytes() == before


def test_an_update_needs_docker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Docker: exit code 1 and one line that names it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert update_images.main([]) == 1
    assert capsys.readouterr().err == "Error: Docker is not installed here.\n"


def test_a_damaged_data_file_is_reported(pins: Path) -> None:
    """What an editor has broken is named, not thrown."""
    pins.write_text(pins.read_text().replace('tag = "', 'tag = ""'))
    with pytest.raises(BundleError, match=r"images\.toml cannot be used: .*line"):
        images.read_pins(pins)

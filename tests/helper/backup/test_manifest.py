"""A manifest survives the way through its file; a damaged or newer one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bundle_helper.backup.manifest import FORMAT, ManifestError, SetManifest, parse_manifest
from bundle_helper.backup.table_hashes import TableHash, list_differences

MANIFEST = SetManifest(
    format=FORMAT,
    product="1.2.3",
    set="20261127-0330-abcd",
    kind="scheduled",
    time=datetime(2026, 11, 27, 3, 30, tzinfo=UTC),
    server_name="example.org",
    verify_key="ed25519:a_TEST key",
    instance="0" * 32,
    epoch=1,
    images={"postgres": "postgres:17"},
    postgres_version="17.12",
    schema_version=94,
    compat_version=84,
    dump_snapshot="a" * 64,
    dump_bytes=1,
    one_time_keys=False,
    tables={"events": TableHash(rows=1, hash="-5")},
    sequences={"events_seq": 1},
    remote_media=False,
)


def test_round_trip() -> None:
    """What is read is what was written."""
    assert parse_manifest(MANIFEST.to_json()) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "weekly"},
        {"time": "2026-11-27T03:30:00"},
        {"time": "yesterday"},
        {"tables": {"events": {"rows": 1}}},
        {"tables": None},
        {"format": "1"},
    ],
)
def test_damaged(change: dict[str, Any]) -> None:
    """Every damage is one sentence with the way on."""
    content = json.loads(MANIFEST.to_json()) | change
    with pytest.raises(ManifestError, match="backup list"):
        parse_manifest(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "no"])
def test_no_manifest(text: str) -> None:
    """So is a text that is something else."""
    with pytest.raises(ManifestError, match="is damaged"):
        parse_manifest(text)


def test_newer() -> None:
    """A newer format is not damaged, and says what is needed."""
    content = json.loads(MANIFEST.to_json()) | {"format": FORMAT + 1, "new": 1}
    with pytest.raises(ManifestError, match=r"newer synapse-bundle: its format is 3"):
        parse_manifest(json.dumps(content))


def test_differences() -> None:
    """Each table that is not as expected is one line."""
    expected = {name: TableHash(rows=2, hash="7") for name in ("a", "b", "c", "d")}
    found = {
        "a": TableHash(rows=2, hash="7"),
        "b": TableHash(rows=1, hash="7"),
        "c": TableHash(rows=2, hash="8"),
        "e": TableHash(rows=0, hash="0"),
    }
    assert list_differences(expected, found) == [
        "the table b has 1 rows, not 2",
        "the table c has the right number of rows, 2, but not their content",
        "the table d is missing",
        "the table e is not in the set",
    ]

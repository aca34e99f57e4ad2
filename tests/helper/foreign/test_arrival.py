"""Whether every row of an SQLite database arrived in PostgreSQL, and every file on the disk."""

from __future__ import annotations

import ctypes
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import psycopg
import pytest

from bundle_helper.backup.progress import ignore_progress
from bundle_helper.errors import HelperError
from bundle_helper.foreign import media_copy, sqlite_copy
from bundle_helper.foreign.sqlite_database import compare_rows, open_copy
from tests.helper.conftest import PostgresServer
from tests.helper.foreign.conftest import connect


@pytest.fixture
def arrived(postgres_address: PostgresServer) -> Iterator[psycopg.Connection]:
    """A database of its own, with two of Synapse's tables."""
    name = f"arrived_{secrets.token_hex(4)}"
    with connect(postgres_address) as superuser:
        superuser.execute(f'CREATE DATABASE "{name}"')
        with connect(postgres_address, name) as connection:
            connection.execute("CREATE TABLE events (id bigint, body text)")
            connection.execute("CREATE TABLE users (name text)")
            connection.execute("INSERT INTO events VALUES (1, 'a'), (2, 'b')")
            yield connection
        superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.engine
def test_rows_are_counted(arrived: psycopg.Connection, tmp_path: Path) -> None:
    """A row too few or too many is a difference; one that PostgreSQL cannot hold is named."""
    path = tmp_path / "copy"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE events (id INTEGER, body TEXT); CREATE TABLE users (name TEXT);"
        "CREATE TABLE of_a_module (a TEXT); CREATE TABLE empty (a TEXT);"
        "CREATE TABLE user_directory (a TEXT); CREATE VIRTUAL TABLE event_search USING fts4 (value);"
        "INSERT INTO events VALUES (1, 'a'), (2, 'b'); INSERT INTO of_a_module VALUES ('a');"
        "INSERT INTO user_directory VALUES ('a'); INSERT INTO event_search VALUES ('a');"
    )
    said: list[str] = []
    with open_copy(path) as copy:
        assert compare_rows(copy, arrived, said.append) == []
        assert said == ["of_a_module: left out, because Synapse knows no such table"]
        connection.execute("INSERT INTO events VALUES (3, ?)", ("a\0b",))
        connection.commit()
        assert compare_rows(copy, arrived, said.append) == []
        assert "events: left out 1 rows with a zero byte in a text" in said
        connection.execute("INSERT INTO events VALUES (4, 'c')")
        connection.execute("INSERT INTO users VALUES ('a')")
        connection.commit()
        assert compare_rows(copy, arrived, said.append) == [
            "the table events has 2 rows, not 3",
            "the table users has 0 rows, not 1",
        ]
        arrived.execute("INSERT INTO events VALUES (4, 'c'), (5, 'd'), (6, 'e')")
        assert compare_rows(copy, arrived, said.append)[0] == "the table events has 5 rows, not 3"
    connection.close()


def test_files_are_copied(tmp_path: Path) -> None:
    """Whatever was there before is gone, and everything is the same."""
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source / "local_content" / "aa", source / "empty", target / "left"):
        folder.mkdir(parents=True)
    (target / "left" / "file").touch()
    for name, size in (("small", 5), ("large", 3_000_000), ("none", 0)):
        (source / "local_content" / "aa" / name).write_bytes(os.urandom(size))
    total = media_copy.copy_media(source, target, os.geteuid(), ignore_progress)
    assert total == (3, 3_000_005)
    assert [path.name for path in target.iterdir()] == ["media_store"]
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / "media_store" / path.relative_to(source)
            assert copy.read_bytes() == path.read_bytes()


def test_a_disk_that_keeps_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is compared with what was read."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"a file")
    (tmp_path / "target").mkdir()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: hashlib.sha256(b"a fil"))
    with pytest.raises(HelperError, match="the disk is failing"):
        media_copy.copy_media(
            tmp_path / "source", tmp_path / "target", os.geteuid(), ignore_progress
        )


def test_a_disk_that_does_not_take_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that could not be written is told by the flush alone."""
    for folder in ("source", "target"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(ctypes, "get_errno", lambda: 5)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: MagicMock())
    with pytest.raises(HelperError, match="target cannot be copied: Input/output error"):
        media_copy.copy_media(
            tmp_path / "source", tmp_path / "target", os.geteuid(), ignore_progress
        )


def test_a_database_that_is_written_meanwhile(tmp_path: Path) -> None:
    """A new row may be in the log beside it alone."""
    source, copy = tmp_path / "homeserver.db", tmp_path / "work" / "homeserver.db"
    connection = sqlite3.connect(source)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE a (b)")
    sqlite_copy.copy_database(source, copy, os.geteuid())
    sqlite_copy.require_unchanged(source, copy)
    connection.execute("INSERT INTO a VALUES (1)")
    connection.commit()
    with pytest.raises(HelperError, match="the other Synapse runs"):
        sqlite_copy.require_unchanged(source, copy)
    connection.close()

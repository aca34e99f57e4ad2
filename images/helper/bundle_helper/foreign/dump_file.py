"""A dump of another PostgreSQL: what is in it, whether all of it is, and how it becomes the database.

Only an archive of pg_dump's is taken. A dump as SQL is a program, which psql runs with all that psql can do;
of an archive pg_restore can say what is in it before anything happens, and it is loaded as Synapse's role.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from ..backup.database_dump import prepare_client
from ..backup.restic import NICE
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..settings.backup_settings import BackupSettings

_MAGIC: Final = b"PGDMP"
_ENTRY: Final = re.compile(r"\d+; \d+ \d+ ([A-Z][A-Z ]*[A-Z]) (\S+) (\S+)")
_VERSION: Final = re.compile(r"(?m)^;\s+Dumped from database version: (\S+)")
# Nothing of Synapse's, and no owner of a database may make it: comments of extensions among them.
_LEFT_OUT: Final = (
    "EXTENSION",
    "COMMENT",
    "SCHEMA",
    "PROCEDURAL LANGUAGE",
    "EVENT TRIGGER",
    "PUBLICATION",
)
_NEEDED: Final = (
    "events",
    "event_json",
    "users",
    "access_tokens",
    "schema_version",
    "state_groups_state",
)
_MAKE: Final = "`pg_dump -Fc --file=synapse.dump NAME`"
_HEAD: Final = 4096


class DumpContents(NamedTuple):
    """What an archive says of itself: its lines, PostgreSQL's version, tables, and those with their rows."""

    lines: tuple[str, ...]
    version: str
    tables: frozenset[str]
    filled: frozenset[str]


def describe_other_kind(path: Path) -> str:
    """Return what a file is that is not an archive of pg_dump's, and what to do; "" for an archive."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_MAGIC):
        return ""
    if b"PostgreSQL database cluster dump" in head:
        return (
            "the dump is one of a whole cluster, by pg_dumpall. Load it into a PostgreSQL of its own, as"
            f" your old server is, and dump Synapse's database alone: {_MAKE}"
        )
    if b"PostgreSQL database dump" in head:
        return (
            "the dump is SQL, which can make psql run any program. Make an archive of the same database:"
            f" {_MAKE}"
        )
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")):
        return f"the dump is compressed. Unpack it; or make an archive, which compresses by itself: {_MAKE}"
    return f"the dump is not an archive of pg_dump's. Make one: {_MAKE}"


def read_contents(path: Path) -> DumpContents:
    """Return what is in an archive; HelperError if pg_restore cannot read it."""
    done = subprocess.run(
        ["pg_restore", "--list", str(path)],
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it does not say why"])[0]
        raise HelperError(
            f"the dump cannot be read: {reason}. Nothing was changed. If it comes from a newer PostgreSQL than"
            " the bundle's, load it into one of the bundle's version first, and dump that."
        )
    entries = [match for match in map(_ENTRY.match, done.stdout.splitlines()) if match]
    version = _VERSION.search(done.stdout)
    return DumpContents(
        lines=tuple(done.stdout.splitlines()),
        version=version[1] if version else "",
        tables=frozenset(match[3] for match in entries if match[1] == "TABLE"),
        filled=frozenset(match[3] for match in entries if match[1] == "TABLE DATA"),
    )


def list_faults(contents: DumpContents) -> Iterator[str]:
    """Yield a sentence for each reason why an archive is not Synapse's whole database."""
    missing = [name for name in _NEEDED if name not in contents.tables]
    if missing:
        yield f"the dump has no table {missing[0]}: is it the database of Synapse?"
        return
    empty = sorted(contents.tables - contents.filled)
    if empty:
        yield (
            f"the dump has the table {empty[0]} without its rows: make a full one, without --schema-only or"
            " --exclude-table-data"
        )


def load_dump(settings: BackupSettings, path: Path) -> None:
    """Load an archive into the empty database, as Synapse's role and in one transaction.

    HelperError if it cannot be, and the database is empty then.
    """
    chosen = settings.runtime_directory / "contents"
    chosen.write_text("\n".join(_select(read_contents(path).lines)) + "\n", encoding="utf-8")
    database = settings.database
    done = subprocess.run(
        [
            *(*NICE, "pg_restore", "--no-owner", "--no-privileges", "--single-transaction"),
            *("--exit-on-error", "--no-password", f"--use-list={chosen}"),
            *(f"--host={database.database_host}", f"--port={database.database_port}"),
            *(
                f"--username={database.database_role}",
                f"--dbname={database.database_name}",
                str(path),
            ),
        ],
        env=prepare_client(settings, database.database_role, database.role_password),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [os.strerror(0)])[0]
        raise HelperError(
            f"the dump cannot be loaded: {reason}. The server does not start with what is here; correct"
            " that, then run this again."
        )


def _select(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of an archive's contents that are loaded."""
    for line in lines:
        match = _ENTRY.match(line)
        if not match or not match[1].startswith(_LEFT_OUT):
            yield line

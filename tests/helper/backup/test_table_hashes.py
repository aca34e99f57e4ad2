"""The hash of a table changes with any row, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup.table_hashes import hash_tables, list_differences
from bundle_helper.restore.loading import compare_tables
from tests.helper.backup.test_manifest import MANIFEST

if TYPE_CHECKING:
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        (
            'UPDATE events SET content = \'{"body": ""}\' WHERE stream_ordering = 7',
            "not their content",
        ),
        ("DELETE FROM events WHERE stream_ordering = 7", "has 1999 rows, not 2000"),
        ("UPDATE events SET weight = weight + 1e-9 WHERE stream_ordering = 7", "not their content"),
        ("UPDATE events SET signature = NULL WHERE stream_ordering = 7", "not their content"),
        ("DROP TABLE events", "the table events is missing"),
        ('CREATE TABLE "another" ()', "the table another is not in the set"),
        # Two rows exchange one value; two columns of one row do; a value moves beside an empty one.
        (
            "UPDATE events SET weight = (15 - stream_ordering) / 3.0 WHERE stream_ordering IN (7, 8)",
            "not their content",
        ),
        ("UPDATE pairs SET a = b, b = a", "not their content"),
        ("UPDATE pairs SET a = NULL, c = a", "not their content"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_every_change_shows(
    place: Place, statement: str, difference: str, *, as_text: bool
) -> None:
    """One changed row, one missing row, one missing table: each is one line."""
    with place.connect() as database:
        database.execute("CREATE TABLE pairs AS SELECT 'x' AS a, 'y' AS b, NULL::text AS c")
        before = hash_tables(database, as_text=as_text)
        database.execute(statement)
        [line] = list_differences(before, hash_tables(database, as_text=as_text))
        assert difference in line


def test_a_set_of_the_first_format_is_compared_as_it_was_hashed(place: Place) -> None:
    """There the hash of a row was that of its text."""
    with place.connect() as database:
        tables = hash_tables(database, as_text=True)
        assert tables != hash_tables(database)
        assert tables["e2e_one_time_keys_json"].hash == str(
            database.execute(
                "SELECT hashtextextended(t::text, 0) FROM e2e_one_time_keys_json AS t"
            ).fetchone()[0]  # type: ignore[index]
        )
        old = replace(MANIFEST, format=1, tables=tables, sequences={}, one_time_keys=True)
        assert compare_tables(database, old) == []
        assert compare_tables(database, replace(old, format=2)) != []


def test_nothing_else_shows(place: Place) -> None:
    """Neither the order of rows nor the session's formats change a hash."""
    with place.connect() as database:
        before = hash_tables(database)
        assert before["Odd Name"].rows == 0
        database.execute("CREATE INDEX shuffled ON events (md5(event_id))")
        database.execute("CLUSTER events USING shuffled")
    with place.connect() as database:
        for setting in (
            "DateStyle = 'German'",
            "TimeZone = 'Asia/Tokyo'",
            "bytea_output = 'escape'",
        ):
            database.execute(f"SET {setting}")
        assert hash_tables(database) == before
        assert "events" not in hash_tables(database, ("events",))

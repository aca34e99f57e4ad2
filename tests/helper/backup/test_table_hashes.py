"""The hash of a table changes with any row, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup.table_hashes import hash_tables, list_differences

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
    ],
)
def test_every_change_shows(place: Place, statement: str, difference: str) -> None:
    """One changed row, one missing row, one missing table: each is one line."""
    with place.connect() as database:
        before = hash_tables(database)
        database.execute(statement)
        [line] = list_differences(before, hash_tables(database))
        assert difference in line


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

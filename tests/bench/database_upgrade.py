"""Row 16: PostgreSQL's next major version, beside `pg_dump` and `pg_restore`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.filled_server import FilledServer, find_backup_image
from tests.support.processes import run

BY_HAND: Final = """
pg_dump $connect --format=custom --file=/out/database.dump synapse
psql $connect --command="CREATE DATABASE by_hand TEMPLATE template0 LOCALE 'C'"
pg_restore $connect --no-owner --single-transaction --exit-on-error --dbname=by_hand /out/database.dump
psql $connect --command="DROP DATABASE by_hand"
"""


def measure(server: FilledServer) -> Iterator[Figure]:
    """Dump and restore the database on the older version, then upgrade; once, for there is no way back."""
    server.make_set()
    done = server.run_reference(BY_HAND)
    plain = Contender(
        label="pg_dump and pg_restore",
        unit="s",
        samples=(Sample(value=done.seconds, cpu=done.cpu),),
    )
    stack = server.stack
    files = ["--settings", str(stack.settings), "--output", str(stack.directory)]
    began = time.perf_counter()
    run([sys.executable, "-m", "synapse_bundle", "upgrade-database", "--yes", *files])
    seconds = time.perf_counter() - began
    server.data.image = find_backup_image(stack)
    upgrade = Contender(label="upgrade-database", unit="s", samples=(Sample(value=seconds, cpu=0),))
    yield Figure(
        row="16",
        what="`upgrade-database` / `pg_dump` and `pg_restore`",
        values=divide(upgrade, plain),
        goal=Goal(bound=1.5),
        contenders=(upgrade, plain),
        note="the upgrade also stops and starts the server, compares every row, and checks it",
    )

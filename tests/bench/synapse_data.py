"""Data of the size and shape of a homeserver's, put into a running bundle in a minute or two."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synapse_bundle import topology
from tests.bench.cpu_usage import list_containers
from tests.bench.run_context import RunContext
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

ROWS: Final = Path(__file__).with_name("synapse_rows.sql")
CHANGES: Final = Path(__file__).with_name("synapse_changes.sql")
MEDIA: Final = Path(__file__).with_name("media_files.py")
# Events with all that belongs to them in 1 MB of database.
EVENTS_PER_MB: Final = 180
MB: Final = 1_000_000
MEDIA_STORE: Final = "/media/media_store"
# Higher than any id of a state group that Synapse has given itself.
STATE_GROUPS: Final = 1_000_000
# A new Synapse changes its tables in the background, one step a second.
SETTLING: Final = 180


@dataclass(kw_only=True)
class SynapseData:
    """What was put into a bundle so far; a part of it is as much again."""

    stack: Stack
    image: str
    megabytes: int
    events: int = 0
    files: int = 0

    def fill(self, context: RunContext) -> None:
        """Put in `megabytes` of database and half as many of media.

        Before that a new Synapse changes its tables, which is waited for unless the run is a quick one.
        """
        if not context.quick:
            wait_for(self._is_settled, "Synapse has changed its tables", patience=SETTLING)
        context.budget.say(f"  making {self.megabytes} MB of rows, and half of that of media")
        self._add(EVENTS_PER_MB * self.megabytes, MB * self.megabytes // 2)
        self.ask("VACUUM (ANALYZE)")

    def grow(self) -> None:
        """Do what a day does at one percent of growth."""
        events = max(1, EVENTS_PER_MB * self.megabytes // 100)
        self._add(events, MB * self.megabytes // 200)
        self._run(CHANGES, touched=events, purged=max(1, events // 20), base=STATE_GROUPS)

    def measure(self) -> int:
        """Return the size of the database in bytes."""
        return int(self.ask(f"SELECT pg_database_size('{topology.POSTGRES.database}')"))

    def ask(self, statement: str, database: str = topology.POSTGRES.database) -> str:
        """Run one statement as the superuser and return what it printed."""
        return self._psql("--command", statement, database=database).strip()

    def _is_settled(self) -> bool:
        return self.ask("SELECT count(*) FROM background_updates") == "0"

    def _add(self, events: int, media: int) -> None:
        self._run(ROWS, first=self.events + 1, last=self.events + events, base=STATE_GROUPS)
        self.events += events
        volume = f"{self.stack.project}_media:/media"
        uid = str(topology.SYNAPSE.uid)
        done = subprocess.run(
            ["docker", "run", "--rm", "--interactive", "--network=none", "--user", uid,
             "--volume", volume, "--entrypoint=python3", self.image, "-", MEDIA_STORE,
             str(self.files), str(media)],
            input=MEDIA.read_text(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.files = int(done.stdout)

    def _run(self, script: Path, **values: int) -> None:
        options = [f"--set={name}={value}" for name, value in values.items()]
        self._psql(*options, text=script.read_text())

    def _psql(
        self, *options: str, text: str = "", database: str = topology.POSTGRES.database
    ) -> str:
        script = 'PGPASSWORD=$(<"$POSTGRES_PASSWORD_FILE") exec psql -XqAtU "$0" "$@"'
        container = list_containers(self.stack.project)["postgres"]
        done = subprocess.run(
            ["docker", "exec", "--interactive", container, "bash", "-c", script,
             topology.POSTGRES.superuser, f"--dbname={database}", *options],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"psql gave {done.returncode}: {done.stderr}")
        return done.stdout

"""`synapse-bundle upgrade-database` beside a `docker` that keeps a volume, and runs the bundle's script in it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.generator.runs import Run, Runner

# Plays the engine: which PostgreSQL starts follows from compose.yaml, and from what start.sh would see.
DOCKER: Final = """#!{python} -IS
import pathlib, re, shutil, subprocess, sys
state, bundle = pathlib.Path({state!r}), pathlib.Path({bundle!r})
volume, words = state / "volume", sys.argv[1:]
said = " ".join(words)
if said == "compose version --short":
    sys.exit(print("2.26.1"))
if said == "version --format {{{{.Server.Version}}}}":
    sys.exit(print("26.1.5"))
if "config" in words:
    sys.exit(sys.stdin.read() and None)
names = [w for w in words if not w.endswith((".yaml", "bundle")) and w not in ("--file", "compose")]
if names[:2] != ["ps", "--quiet"]:
    with (state / "calls").open("a") as file:
        print(*names, file=file)
if said.startswith("ps --quiet") and (state / "left").exists():
    sys.exit(print("left"))
if said == "wait left":
    sys.exit((state / "left").unlink())
if (state / "fails").exists() and (state / "fails").read_text() in said:
    sys.exit("docker says no")
major = re.search(r'PGDATA: "/var/lib/postgresql/([0-9]+)/docker"', (bundle / "compose.yaml").read_text())[1]
data, note = volume / major / "docker", volume / "17" / "docker" / "superseded"
fenced, loaded = volume / "17" / "docker" / "fenced", data / "loaded"
def start():
    if major == "17" and note.exists():
        sys.exit("REFUSED: handed over")
    if major == "18" and not data.exists():
        if not note.exists() or note.read_text() != "18\\n":
            sys.exit("REFUSED: this volume holds PostgreSQL 17 data")
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("18")
def serve(name):
    start()
    if fenced.exists() if major == "17" else not loaded.exists():
        sys.exit("bootstrap refuses")
    (state / name).write_text(major)
if "/srv/postgres/succession.sh" in words:
    verb, older, newer, version = words[-4:]
    place = [str(volume / pathlib.Path(each).relative_to("/var/lib/postgresql")) for each in (older, newer)]
    script = bundle / "postgres" / "succession.sh"
    sys.exit(subprocess.run(["bash", script, verb, *place, version]).returncode)
if "down" in words:
    for name in ("inside", "serving"):
        (state / name).unlink(missing_ok=True)
elif words[-3:-1] == ["move", "--to-postgres"]:
    start()
    if (state / "left").exists():
        sys.exit("another move has held its lock for 1s")
    assert major == "17"
    fenced.touch()
elif words[-2:] == ["move", "--undo"]:
    start()
    assert major == "17"
    fenced.unlink(missing_ok=True)
elif words[-1] == "--keep-files":
    start()
    assert major == "18" and fenced.exists()
    loaded.touch()
elif "up" in words:
    serve("inside" if words[-1] == "synapse" else "serving")
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory with a bundle of PostgreSQL 17 that runs, and a `docker` that plays its part."""

    runner: Runner
    state: Path

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.runner.bundle

    @property
    def older(self) -> Path:
        """The older data directory."""
        return self.state / "volume" / "17" / "docker"

    @property
    def newer(self) -> Path:
        """The newer data directory."""
        return self.state / "volume" / "18" / "docker"

    @property
    def serving(self) -> str:
        """The major version whose server clients reach, or an empty string."""
        path = self.state / "serving"
        return path.read_text() if path.exists() else ""

    @property
    def major(self) -> str:
        """The major version that the manifest names."""
        manifest = json.loads((self.bundle / ".manifest.json").read_text())
        return str(manifest["images"]["postgres"].partition("-")[0])

    def list_calls(self) -> list[str]:
        """Return what `docker` was asked since the last time, without the names of files."""
        path = self.state / "calls"
        calls = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return calls

    def run(self, *arguments: str, **options: Any) -> Run:
        """Run the program where that `docker` is, and return what became of it."""
        path = f"{self.state / 'bin'}:/usr/bin:/bin"
        done = self.runner.generate(path=path, **{"arguments": arguments} | options)
        assert "Traceback" not in done.output, done.output
        return done

    def upgrade(self, *arguments: str, **options: Any) -> Run:
        """Upgrade the database, and return what became of it."""
        steps = "synapse_bundle.succession"
        return self.run("upgrade-database", "--yes", *arguments, steps_of=steps, **options)

    def fail(self, words: str) -> None:
        """Let `docker` fail from now on where it is asked for this; "" ends that."""
        if words:
            (self.state / "fails").write_text(words)
        else:
            (self.state / "fails").unlink()


def make_place(runner: Runner, settings: str = "") -> Place:
    """Make a bundle of PostgreSQL 17 that runs."""
    place = Place(runner=runner, state=runner.directory / "state")
    (place.state / "bin").mkdir(parents=True)
    (runner.directory / "settings.yaml").write_text(settings)
    program = place.state / "bin" / "docker"
    text = DOCKER.format(python=sys.executable, state=str(place.state), bundle=str(place.bundle))
    program.write_text(text)
    program.chmod(0o755)
    assert place.run("generate").code == 0
    age(place.bundle)
    assert place.run("generate").code == 0
    place.older.mkdir(parents=True)
    (place.older / "PG_VERSION").write_text("17")
    (place.state / "serving").write_text("17")
    place.list_calls()
    return place


def age(bundle: Path) -> None:
    """Make a bundle one whose data is of PostgreSQL 17."""
    path = bundle / ".manifest.json"
    document = json.loads(path.read_text())
    document["images"]["postgres"] = "17-trixie"
    path.write_text(json.dumps(document))

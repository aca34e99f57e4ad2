"""`synapse-bundle rotate` beside a `docker` that notes what it is asked, killed where a test wants it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.generator.runs import Run, Runner

# Synapse runs where the file says so; a repository is a file with the passwords that open it.
DOCKER: Final = """#!/bin/sh
cd {state} || exit
case "$*" in
"compose version --short") echo 2.26.1; exit ;;
"version --format {{{{.Server.Version}}}}") echo 26.1.5; exit ;;
*" ps --services --status running") cat running; exit ;;
*" ps --quiet") cat running; exit ;;
*config*) cat >/dev/null; exit ;;
esac
for each; do case $each in --file|*/compose.yaml|*/compose.override.yaml) ;; *) printf '%s ' "$each" ;; esac; done >>calls
echo >>calls
[ ! -e fails ] || {{ echo "docker says no" >&2; exit 1; }}
case "$*" in
*" password admit") read -r new; grep -qx -e "$new" opens || echo "$new" >>opens ;;
*" password dismiss") read -r old; grep -vx -e "$old" opens >left; mv left opens ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory with a bundle, and a `docker` that plays its part."""

    runner: Runner
    state: Path

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.runner.bundle

    @property
    def journal(self) -> Path:
        """Where a rotation that has begun is noted."""
        return self.bundle / "secrets" / ".rotation.json"

    def secret(self, name: str) -> str:
        """Return a secret of the bundle."""
        return (self.bundle / "secrets" / name).read_text().removesuffix("\n")

    def read_secrets(self) -> dict[str, str]:
        """Return every secret in its place."""
        found = (self.bundle / "secrets").glob("[!.]*")
        return {path.name: path.read_text() for path in found}

    def list_calls(self) -> list[str]:
        """Return what `docker` was asked since the last time, without the names of files."""
        path = self.state / "calls"
        calls = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [call.strip().removeprefix("compose ") for call in calls]

    def run(self, *arguments: str, **options: Any) -> Run:
        """Run the program where that `docker` is, and return what became of it."""
        path = f"{self.state / 'bin'}:/usr/bin:/bin"
        done = self.runner.generate(path=path, **{"arguments": arguments} | options)
        assert "Traceback" not in done.output, done.output
        return done

    def rotate(self, *names: str) -> str:
        """Rotate secrets, which must succeed, and return what it says."""
        done = self.run("rotate", *names, "--yes")
        assert done.code == 0, done.output
        return done.output

    def refuse(self, *names: str, code: int) -> str:
        """Rotate secrets, which must end with a code, and return what it says."""
        done = self.run("rotate", *names, "--yes")
        assert done.code == code, done.output
        return done.output

    def cut_off(self, number: int, *names: str) -> bool:
        """Rotate secrets up to a step of that number; return whether the rotation has that step."""
        done = self.run("rotate", *names, "--yes", before_step=number)
        assert done.killed or done.code == 0, done.output
        return done.killed

    def start(self, *, running: bool) -> None:
        """Let the bundle run, or not."""
        (self.state / "running").write_text("synapse\n" if running else "")


def make_place(runner: Runner, settings: str = "") -> Place:
    """Make a bundle that runs, whose backups one password opens."""
    place = Place(runner=runner, state=runner.directory / "state")
    (place.state / "bin").mkdir(parents=True)
    (runner.directory / "settings.yaml").write_text(settings)
    program = place.state / "bin" / "docker"
    program.write_text(DOCKER.format(state=place.state))
    program.chmod(0o755)
    place.start(running=True)
    assert place.run("generate").code == 0
    (place.state / "opens").write_text(place.secret("backup_password") + "\n")
    place.list_calls()
    return place


def read_journal(place: Place) -> dict[str, Any]:
    """Return what the journal says."""
    return dict(json.loads(place.journal.read_text()))

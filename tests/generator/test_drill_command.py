"""`synapse-bundle drill`: what it asks of Compose, in which order, and that it always removes the drill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from synapse_bundle.manifest import Manifest
from synapse_bundle.settings import names
from tests.support.waiting import wait_for

# Notes each call, and runs the script of a verb, if there is one.
SCRIPT = """#!/bin/sh
cd {state} || exit
case "$*" in
"compose version --short") echo 2.26.1; exit ;;
"version --format {{{{.Server.Version}}}}") echo 26.1.5; exit ;;
esac
echo "$*" >>calls
for verb in restore drill logs down; do
    case " $* " in *" $verb "*) [ ! -x $verb ] || exec ./$verb ;; esac
done
"""
DOWN = "down --volumes --remove-orphans --timeout 2"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory with a bundle, and a `docker` that plays its part."""

    home: Path

    @property
    def state(self) -> Path:
        """Where that `docker` keeps what it was asked, and what it does."""
        return self.home / "state"

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.home / "bundle"

    def act(self, verb: str, script: str) -> None:
        """Let Compose do something when it is asked for a service or a verb."""
        path = self.state / verb
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [sys.executable, "-m", "synapse_bundle", "drill", *arguments],
            cwd=self.home,
            env={**os.environ, "PATH": f"{self.home / 'bin'}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def drill(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command; return its exit code and what it printed."""
        process = self.start(*arguments)
        output, complaint = process.communicate(timeout=60)
        assert "Traceback" not in complaint, complaint
        return process.returncode, output, complaint

    @property
    def calls(self) -> list[str]:
        """What Compose was asked, without the options that are the same each time."""
        project = names.name_drill("example")
        options = (
            f"compose --file {{0}}/compose.yaml --file {{0}}/drill.yaml --project-name {project} "
        ).format("bundle")
        lines = (self.state / "calls").read_text().splitlines()
        assert all(line.startswith(options) for line in lines), lines
        return [line.removeprefix(options) for line in lines]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A bundle, and a `docker` with which every drill is green."""
    made = Place(home=tmp_path)
    for directory in (made.state, made.bundle, tmp_path / "bin"):
        directory.mkdir()
    script = tmp_path / "bin" / "docker"
    script.write_text(SCRIPT.format(state=made.state))
    script.chmod(0o755)
    identity = Manifest(server_name="example.org", version="0.2.0", project="example")
    (made.bundle / ".manifest.json").write_bytes(identity.serialize())
    for name in ("compose.yaml", "drill.yaml"):
        (made.bundle / name).write_text("name: example\n")
    return made


def test_a_green_drill(place: Place) -> None:
    """Leftovers go first, then the set is restored, used, and removed, as a project of its own."""
    code, output, complaint = place.drill()
    assert (code, complaint) == (0, "")
    assert output.startswith("The drill is green")
    run = "run --rm --no-TTY"
    assert place.calls == [DOWN, f"{run} restore", f"{run} drill", DOWN]


def test_a_set_by_name(place: Place) -> None:
    """The name goes to the restore alone."""
    assert place.drill("20261127-0330-1a2b")[0] == 0
    assert place.calls[1:3] == [
        "run --rm --no-TTY restore 20261127-0330-1a2b",
        "run --rm --no-TTY drill",
    ]


def test_a_restore_that_is_refused(place: Place) -> None:
    """Nothing is started, and one sentence follows the reason."""
    place.act("restore", "echo the reason >&2; exit 1")
    refused = "The drill failed: the set was not restored; see the error above. The server was not touched."
    code, output, complaint = place.drill()
    assert (code, output) == (1, "")
    assert complaint.splitlines() == [
        "the reason",
        f"Error: {refused}",
    ]
    assert place.calls == [DOWN, "run --rm --no-TTY restore", DOWN]


def test_a_server_that_does_not_work(place: Place) -> None:
    """Its log is shown before it is removed."""
    place.act("drill", "echo the reason >&2; exit 1")
    place.act("logs", "echo the log")
    code, _, complaint = place.drill()
    assert code == 1
    assert complaint.splitlines()[:2] == ["the reason", "the log"]
    assert "see the error and the log above" in complaint
    assert place.calls[-2].startswith("logs ")
    assert place.calls[-1] == DOWN


def test_what_cannot_be_removed(place: Place) -> None:
    """A drill does not begin beside the rest of another one; the command that removes it is named."""
    place.act("down", "echo network is in use >&2; exit 1")
    code, _, complaint = place.drill()
    assert code == 1
    assert "network is in use" in complaint
    assert "docker compose -f compose.yaml -f drill.yaml down --volumes" in complaint
    assert place.calls == [DOWN]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_drill_is_removed(place: Place, number: signal.Signals) -> None:
    """Whoever asks it to end, everything goes; no second request keeps it from that."""
    place.act("restore", "touch started; exec sleep 60")
    place.act("down", "[ ! -e started ] || { touch removing; sleep 1; touch removed; }")
    process = place.start()
    wait_for((place.state / "started").exists, "the restore runs")
    process.send_signal(number)
    wait_for((place.state / "removing").exists, "the drill is removed")
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in complaint
    assert (place.state / "removed").exists()


def test_one_drill_at_a_time(place: Place) -> None:
    """A second one touches nothing of the first."""
    place.act("restore", "touch started; while [ ! -e go ]; do sleep 0.05; done")
    process = place.start()
    wait_for((place.state / "started").exists, "the restore runs")
    before = place.calls
    code, _, complaint = place.drill()
    assert (code, place.calls) == (1, before)
    assert "Another drill is running" in complaint
    (place.state / "go").touch()
    assert process.wait(60) == 0
    process.communicate()


@pytest.mark.parametrize(
    ("missing", "named"),
    [("compose.yaml", "holds no bundle"), ("drill.yaml", "holds no drill.yaml")],
)
def test_there_must_be_a_bundle(place: Place, missing: str, named: str) -> None:
    """A folder without it is named, and Docker is not asked."""
    (place.bundle / missing).unlink()
    code, _, complaint = place.drill()
    assert (code, named in complaint) == (1, True)
    assert not (place.state / "calls").exists()


def test_no_bundle_has_the_project_of_a_drill(place: Place) -> None:
    """A drill removes its project with all volumes: no server may be in it."""
    settings = place.home / "settings.yaml"
    settings.write_text(f"project: {names.name_drill('example')}\n")
    command = [sys.executable, "-m", "synapse_bundle", "generate", "--settings", str(settings)]
    done = subprocess.run(command, cwd=place.home, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is a name that only a drill may have" in done.stderr

"""A full drill: a Compose project of its own beside the server, which is removed whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import engine, manifest
from .database_place import runs_database
from .errors import BundleError
from .settings.names import name_drill

_FILE: Final = "drill.yaml"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_LOG_LINES: Final = "20"


@dataclass(frozen=True, kw_only=True)
class _DrillProject:
    """The command that runs Compose with this project."""

    command: tuple[str, ...]

    def run(self, service: str, *arguments: str) -> int:
        """Run a service on the terminal and return its exit code."""
        terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
        whole = [*self.command, "run", "--rm", *terminal, service, *arguments]
        return subprocess.run(whole, check=False).returncode

    def show_log(self) -> None:
        """Print what the restored server said last."""
        options = ["--no-log-prefix", "--tail", _LOG_LINES, "bootstrap", "synapse"]
        subprocess.run([*self.command, "logs", *options], check=False, stdout=sys.stderr)

    def remove(self) -> None:
        """Remove containers, networks and volumes, whoever left them; BundleError if that fails."""
        removal = [*self.command, "down", "--volumes", "--remove-orphans", "--timeout", "2"]
        # In a session of its own, so that a second Ctrl+C does not interrupt it.
        done = subprocess.run(
            removal,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if done.returncode:
            raise BundleError(
                f"The drill cannot be removed: {done.stderr.strip()}\nTry again with:"
                f" docker compose -f compose.yaml -f {_FILE} down --volumes --remove-orphans"
            )


def drill(bundle: Path, set_name: str | None) -> None:
    """Restore a set beside the running server, use it as a client does, and remove everything.

    `set_name` is the name of a set, None the newest. BundleError if the drill is not green.
    """
    engine.require_bundle(bundle)
    if not runs_database(bundle):
        raise BundleError(
            f"{bundle} has no {_FILE}: its database is not the bundle's own, so it makes no sets that a drill"
            " could restore"
        )
    engine.require_docker()
    with _lock(bundle), _end_in_order():
        project = _open(bundle)
        # What a drill that was killed has left.
        project.remove()
        try:
            _perform(project, set_name)
        finally:
            with _let_end():
                project.remove()


def _perform(project: _DrillProject, set_name: str | None) -> None:
    if project.run("restore", *([set_name] if set_name else [])):
        raise BundleError(
            "The drill failed: the set was not restored; see the error above. The server was not touched."
        )
    if project.run("drill"):
        project.show_log()
        raise BundleError(
            "The drill failed: the set was restored, but what came of it is not the server; see the"
            " error and the log above. The server was not touched."
        )


def _open(bundle: Path) -> _DrillProject:
    identity = manifest.read(bundle, force=True)
    if identity is None:
        raise BundleError(f"{bundle} has a compose.yaml that is not of a bundle")
    client = engine.open_drill(bundle, name_drill(identity.project))
    return _DrillProject(command=tuple(map(str, client.docker_compose_cmd)))


@contextlib.contextmanager
def _lock(bundle: Path) -> Iterator[None]:
    """Keep other drills out: each would remove what the other has made. No file is left by it."""
    try:
        file = (bundle / _FILE).open("rb")
    except FileNotFoundError:
        raise BundleError(
            f"{bundle} holds no {_FILE}; write the bundle with this version first: synapse-bundle generate"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BundleError("Another drill is running; try again when it has ended.") from None
        yield


@contextlib.contextmanager
def _end_in_order() -> Iterator[None]:
    """Let a request to end be an exception, as Ctrl+C is, so that everything is removed."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    before = [(number, signal.signal(number, end)) for number in _ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def _let_end() -> Iterator[None]:
    """Be deaf to requests to end: what follows is the end."""
    numbers = (signal.SIGINT, *_ENDING)
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)

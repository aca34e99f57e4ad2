"""Runs restic: its progress, its refusals, and how the output of a program goes into it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import HelperError
from .access import list_options, prepare_environment
from .progress import Report, ignore_progress
from .repository_errors import UnreadableSourceError, describe_refusal
from .restic_output import Child, read_messages, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..settings.backup_settings import BackupSettings
    from .throttle import Throttle

_UNREADABLE: Final = 3
# Every other process of the machine comes first.
NICE: Final = ("nice", "-n", "19")


class ProducerError(HelperError):
    """The program whose output was to be stored failed, and nothing was stored."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"it ended with {code}: {reason or 'without a word'}")


class Producer(NamedTuple):
    """A program whose standard output is stored, and its environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


class Restic:
    """restic with the repository of the settings, throttled if wanted. Every method raises RepositoryError."""

    def __init__(self, settings: BackupSettings, throttle: Throttle | None = None) -> None:
        self._settings = settings
        self._hold_back = throttle.hold_back if throttle else nullcontext
        self._environment: dict[str, str] = {}
        self._options: list[str] = []

    def ask(self, *arguments: str, patience: float | None = None) -> str:
        """Run restic to its end, or for so many seconds, and return what it printed."""
        with self._start(arguments) as running:
            try:
                printed = running.process.communicate(timeout=patience)[0]
            except subprocess.TimeoutExpired:
                # It repeats what fails for a quarter of an hour, and says meanwhile why.
                reason = running.read_reason() or f"no answer within {patience:.0f} s"
                raise describe_refusal(1, self._settings.repository.name, reason) from None
            self._judge(running)
            return str(printed)

    def write_to(self, output: int, *arguments: str) -> None:
        """Run restic to its end, with its standard output on the descriptor `output`."""
        with self.writing_to(output, *arguments):
            pass

    @contextmanager
    def writing_to(self, output: int, *arguments: str) -> Iterator[None]:
        """Run restic beside what happens inside, and wait for its end; if that fails, it is ended."""
        with self._start(arguments, stdout=output) as running:
            yield
            running.process.wait()
            self._judge(running)

    def follow(self, *arguments: str, report: Report = ignore_progress) -> dict[str, Any]:
        """Run restic to its end, report its progress in bytes, and return its summary.

        UnreadableSourceError if it made a snapshot without some of the files.
        """
        with self._start(("--json", *arguments)) as running:
            summary = read_messages(running, report)
            self._judge(running, summary)
            return summary

    def store_output(
        self, producer: Producer, *arguments: str, report: Report = ignore_progress
    ) -> dict[str, Any]:
        """Run restic with the output of a program as its input, and return its summary.

        restic stores whatever arrives before the end of its input, which a program that failed ends
        as well. So the pipe stays open here until the program has succeeded; if it fails, restic is
        ended first. (`--stdin-from-command` of restic 0.18 hangs when the target is full.)
        """
        with ExitStack() as stack:
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            kept_open = stack.enter_context(os.fdopen(writing, "wb", buffering=0))
            running = stack.enter_context(self._start(("--json", *arguments), stdin=reading))
            source = stack.enter_context(
                self._run(producer.arguments, producer.environment, stdout=writing)
            )
            failed = threading.Event()
            watch = threading.Thread(
                target=_end_input, args=(source.process, running.process, kept_open, failed)
            )
            watch.start()
            try:
                summary = read_messages(running, report)
                running.process.wait()
            finally:
                stop(source.process)
                watch.join()
            if failed.is_set():
                raise ProducerError(source.process.returncode, source.read_reason())
            self._judge(running)
            return summary

    @contextmanager
    def _start(
        self,
        arguments: Sequence[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
    ) -> Iterator[Child]:
        if not self._environment:
            self._environment = prepare_environment(self._settings)
            self._options = list_options(self._settings)
            self._options += ["--no-lock"] if self._settings.repository.read_only else []
        command = ["restic", *self._options, *arguments]
        child = self._run(command, self._environment, stdin=stdin, stdout=stdout)
        with child as running, self._hold_back(running.process):
            yield running

    @contextmanager
    def _run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int,
    ) -> Iterator[Child]:
        directory = self._settings.runtime_directory
        with tempfile.TemporaryFile("w+", dir=directory, encoding="utf-8") as complaints:
            process = subprocess.Popen(
                [*NICE, *command],
                stdin=stdin,
                stdout=stdout,
                stderr=complaints,
                env=dict(environment),
                text=True,
            )
            try:
                yield Child(process, complaints)
            finally:
                stop(process)

    def _judge(self, running: Child, summary: Mapping[str, Any] | None = None) -> None:
        code = running.process.wait()
        if code == _UNREADABLE:
            raise UnreadableSourceError(
                running.read_files(), (summary or {}).get("snapshot_id", "")
            )
        if code:
            raise describe_refusal(code, self._settings.repository.name, running.read_reason())


def _end_input(
    source: subprocess.Popen[str],
    restic: subprocess.Popen[str],
    kept_open: IO[bytes],
    failed: threading.Event,
) -> None:
    """Close restic's input when the program has succeeded; end restic if it failed first."""
    if source.wait() == 0:
        kept_open.close()
    elif restic.poll() is None:
        failed.set()
        # Asked to end, it would first wait for more input.
        restic.kill()

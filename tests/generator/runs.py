"""Real processes that run the generator, cheap enough to end hundreds of them at a chosen moment.

A server process has everything imported; each run is a fork of it. A run can be made to die, stop
or fail before its Nth change of the disk, which Python announces to audit hooks (PEP 578).
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CHANGES: Final = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod")
WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CRASH: Final = 70

# Mode and content by path; the content of a directory is empty.
Tree = dict[str, tuple[int, bytes]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the generator as far as it came: its wait status, and what it printed."""

    pid: int
    status: int
    output: str

    @property
    def killed(self) -> bool:
        """Whether the run was ended by SIGKILL."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def stopped(self) -> bool:
        """Whether the run is held in the middle."""
        return os.WIFSTOPPED(self.status)

    @property
    def code(self) -> int:
        """The exit code; a traceback has one of its own, which no test expects."""
        assert os.WIFEXITED(self.status), self
        return os.WEXITSTATUS(self.status)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The client's end of the server process; runs take place in `directory`."""

    process: subprocess.Popen[str]
    directory: Path
    assets: Path

    @property
    def bundle(self) -> Path:
        """The bundle that runs write by default."""
        return self.directory / "bundle"

    def generate(self, *arguments: str, **options: Any) -> Run:
        """Run `synapse-bundle generate` on a machine without Docker.

        `fault` is `kill`, `stop` or the name of an errno, which strikes before change number `step`
        of the bundle, counting `events` alone; also: `umask`, `home`, `largest` (bytes of a file),
        `user` (a number without an entry, and without a home).
        """
        common = {"cwd": str(self.directory), "assets": str(self.assets), "root": str(self.bundle)}
        return self.ask(common | {"arguments": ["generate", *arguments]} | options)

    def resume(self, run: Run) -> Run:
        """Let a stopped run go on to its end."""
        os.kill(run.pid, signal.SIGCONT)
        return self.ask({"cwd": str(self.directory), "wait": run.pid})

    def ask(self, request: dict[str, Any]) -> Run:
        """Send one request and return the outcome."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Run(**json.loads(self.process.stdout.readline()))


@contextlib.contextmanager
def start(directory: Path) -> Iterator[Runner]:
    """Start the server process for runs in a directory, with few image files beside all templates."""
    assets = directory / "assets"
    shutil.copytree(REPOSITORY / "compose", assets / "compose")
    for name in ("apache", "helper"):
        (assets / "images" / name).mkdir(parents=True)
        (assets / "images" / name / "Dockerfile").write_text("FROM scratch\n")
    (directory / "work").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "tests.generator.runs"]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Runner(process=process, directory=directory / "work", assets=assets)
        assert process.stdin
        process.stdin.close()


def read_tree(root: Path) -> Tree:
    """Return mode and content of everything below a directory, but for the lock."""
    return {
        path.relative_to(root).as_posix(): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in root.rglob("*")
        if path.name != ".lock"
    }


def serve() -> None:
    """Answer every request, a line of JSON, with the outcome of one forked run."""
    from synapse_bundle import cli, engine  # noqa: F401  # what a run would import
    from synapse_bundle.commands import (  # noqa: F401
        generate,
        retire,
        rotate,
        upgrade_database,
    )
    from synapse_bundle.credentials import authority  # noqa: F401

    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        output = Path(request["cwd"], "output")
        pid = request.get("wait") or fork(request, output)
        _, status = os.waitpid(pid, os.WUNTRACED)
        outcome = {"pid": pid, "status": status, "output": output.read_text()}
        print(json.dumps(outcome), flush=True)


def fork(request: dict[str, Any], output: Path) -> int:
    """Start a run; return its process id."""
    pid = os.fork()
    if not pid:
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = run(request)
        sys.stdout.flush()
        sys.stderr.flush()
        # Tearing down all that was imported would take longer than the run.
        os._exit(code)
    return pid


def run(request: dict[str, Any]) -> int:
    """Be the command, under the circumstances of the request; return its exit code."""
    from synapse_bundle import assets, cli

    os.chdir(request["cwd"])
    os.environ |= {
        "PATH": request.get("path", "/nonexistent"),
        "HOME": request.get("home", os.environ["HOME"]),
    }
    os.umask(request.get("umask", 0o022))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if "largest" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"],) * 2)
    if "user" in request:
        for name in ("HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        os.setreuid(request["user"], -1)
    root = Path(request["assets"])
    assets.locate = lambda name: root / name
    if "fault" in request:
        strike(
            **{key: request[key] for key in ("fault", "step", "events", "root") if key in request}
        )
    if "before_step" in request:
        chosen = [request["steps_of"]] if "steps_of" in request else []
        cut_off(request["before_step"], *chosen)
    try:
        cli.main(request["arguments"])
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001  # whatever it is, the test shall see it
        traceback.print_exc()
    return CRASH


def cut_off(number: int, steps_of: str = "synapse_bundle.rotation.steps") -> None:
    """Kill the run before a step of a module, from 0; or, after a rotation's last, before it is forgotten."""
    from synapse_bundle.rotation import journal

    module = importlib.import_module(steps_of)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def cut(listed: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def list_cut_off(*given: Any) -> Iterator[Any]:
            position = -1
            for position, step in enumerate(listed(*given)):
                yield step._replace(carry_out=die) if position == number else step
            if position + 1 == number:
                journal.delete = die  # type: ignore[assignment]

        return list_cut_off

    for name in {"list_steps", "list_steps_back"} & vars(module).keys():
        setattr(module, name, cut(getattr(module, name)))


def strike(fault: str, step: int, root: str, events: tuple[str, ...] = CHANGES) -> None:
    """Let a fault happen once, before change number `step` (from 0) below a directory."""
    steps = itertools.count()
    strikes = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events or not changes(event, arguments, root) or next(steps) != step:
            return
        if fault in strikes:
            os.kill(os.getpid(), strikes[fault])
        else:
            number = getattr(errno, fault)
            raise OSError(number, os.strerror(number), str(arguments[0]))

    sys.addaudithook(watch)


def changes(event: str, arguments: tuple[Any, ...], root: str) -> bool:
    """Tell whether an audit event announces a change of the disk below a directory."""
    if isinstance(arguments[0], int):
        # A file that is open: its bytes are written, its mode comes next; or it is about to be locked.
        return event in {"os.chmod", "fcntl.flock"}
    path = Path(os.fsdecode(arguments[0])).absolute()
    if not path.is_relative_to(root) or (event == "os.mkdir" and path.exists()):
        return False
    return event != "open" or bool(arguments[2] & WRITES)


if __name__ == "__main__":
    serve()

"""Row 2: what a regeneration that changes nothing touches."""

from __future__ import annotations

from pathlib import Path

from tests.bench.cpu_usage import list_containers
from tests.bench.figures import Figure, Goal
from tests.bench.run_context import RunContext
from tests.support.engine import docker
from tests.support.stacks import Stack


def measure(context: RunContext, stack: Stack) -> list[Figure]:
    """Regenerate and `up -d` a running bundle; count what changed."""
    files, containers = [], []
    whole = len(read_files(stack.directory))
    for number in range(3):
        before, running = read_files(stack.directory), read_containers(stack)
        stack.generate()
        stack.compose("up", "--detach")
        files.append(float(count_changes(before, read_files(stack.directory))))
        containers.append(float(count_changes(running, read_containers(stack))))
        context.budget.say(
            f"  {number + 1} of 3: {files[-1]:.0f} files, {containers[-1]:.0f} containers"
        )
    return [
        Figure(row="2a", what="files rewritten by a no-op regenerate", values=tuple(files),
               unit="files", goal=Goal(bound=0), note=f"of {whole} files"),
        Figure(row="2b", what="containers recreated by `up -d` after it", values=tuple(containers),
               unit="containers", goal=Goal(bound=0),
               note=f"of {len(list_containers(stack.project))} that run; the one-shot runs again"),
    ]  # fmt: skip


def count_changes(before: dict[str, object], after: dict[str, object]) -> int:
    """Count the names whose value changed, or that came or went."""
    return sum(before.get(name) != after.get(name) for name in before.keys() | after.keys())


def read_files(directory: Path) -> dict[str, object]:
    """Return what shows whether a file was written: its inode and both of its times."""
    found = ((path, path.stat()) for path in directory.rglob("*") if path.is_file())
    return {
        str(path): (state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
        for path, state in found
        if path.name != ".lock"
    }


def read_containers(stack: Stack) -> dict[str, object]:
    """Return every container of the project, and since when it runs unless it is a one-shot."""
    form = "{{.Name}} {{.Id}} {{if .State.Running}}{{.State.StartedAt}}{{end}}"
    identities = stack.compose("ps", "--all", "--quiet").stdout.split()
    lines = docker("inspect", "--format", form, *identities).splitlines()
    return {line.split()[0]: line for line in lines}

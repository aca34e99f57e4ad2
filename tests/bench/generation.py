"""Row 1: how long the generator takes, each time in a process of its own."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.bench.cpu_usage import time_command
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext
from tests.support.processes import run

# For a run that changes nothing, against Tutor as its documentation installs it.
GOALS: Final = {("1a", "tutor[full]"): Goal(bound=0.35)}
TUTOR: Final = "22.0.3"
# Tutor's documentation installs the second; the first is the smaller and so the harder reference.
REFERENCES: Final = {"tutor": f"tutor=={TUTOR}", "tutor[full]": f"tutor[full]=={TUTOR}"}
COMMAND: Final = Path(sys.executable).with_name("synapse-bundle")

Runner = Callable[[Path], Sample]


def measure(context: RunContext) -> list[Figure]:
    """Compare the generator with Tutor's, on what exists already and from nothing."""
    references = {
        name: install(requirement, context.cache) for name, requirement in REFERENCES.items()
    }
    figures = compare_again(context, references)
    return [*figures, *compare_first(context, references)]


def install(requirement: str, cache: Path) -> Path:
    """Return the `tutor` command of an environment made for one requirement, once."""
    folder = cache / requirement.replace("[", "-").replace("]", "")
    command = folder / "bin" / "tutor"
    if not command.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, requirement])
    return command


def compare_again(context: RunContext, references: dict[str, Path]) -> list[Figure]:
    """Compare runs over their own earlier output; ours then changes nothing."""
    ours = context.folder / "again"
    runs = {"generate": functools.partial(generate, ours)} | {
        name: functools.partial(save, command, context.folder / f"again-{name}")
        for name, command in references.items()
    }
    for _, again in itertools.product(range(2), runs.values()):
        again()
    return compare(context, runs, "no-op `generate` / `{} config save` again", "1a")


def compare_first(context: RunContext, references: dict[str, Path]) -> list[Figure]:
    """Compare first runs into nothing; Docker, where it is installed, judges the result."""
    fresh = (context.folder / f"first-{number}" for number in itertools.count())
    runs: dict[str, Callable[[], Sample]] = {"generate": lambda: generate(next(fresh))}
    if shutil.which("docker"):
        runs["generate without docker"] = lambda: generate(next(fresh), docker=False)
    runs |= {
        name: functools.partial(lambda tutor: save(tutor, next(fresh)), command)
        for name, command in references.items()
    }
    return compare(context, runs, "first `{1}` / first `{0} config save`", "1b")


def compare(
    context: RunContext, runs: Mapping[str, Callable[[], Sample]], what: str, row: str
) -> list[Figure]:
    """Interleave all runs; return a figure for each of ours with each reference."""
    found = interleave(runs, rounds=context.rounds, budget=context.budget)
    sides = {n: Contender(label=n, unit="s", samples=samples) for n, samples in found.items()}
    return [
        Figure(
            row=row,
            what=what.format(reference, ours),
            values=divide(sides[ours], sides[reference]),
            goal=GOALS.get((row, reference)),
            contenders=(sides[ours], sides[reference]),
        )
        for ours in sides if ours not in REFERENCES
        for reference in REFERENCES
    ]  # fmt: skip


def generate(bundle: Path, *, docker: bool = True) -> Sample:
    """Time one `synapse-bundle generate` of the trial."""
    environment = dict(os.environ)
    if not docker:
        environment["PATH"] = str(COMMAND.parent)
    return time_command(
        [str(COMMAND), "generate", "--output", str(bundle)],
        environment=environment,
        folder=bundle.parent,
    )


def save(tutor: Path, root: Path) -> Sample:
    """Time one `tutor config save`, without questions, in a root of its own."""
    environment = {**os.environ, "TUTOR_ROOT": str(root), "TUTOR_PLUGINS_ROOT": f"{root}-plugins"}
    return time_command([str(tutor), "config", "save"], environment=environment, folder=root.parent)

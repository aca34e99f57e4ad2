"""`python -m tests.bench`: every ratio, side by side in one run that ends by itself."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench import machine
from tests.bench.budget import Budget, OutOfTime
from tests.bench.report import Report
from tests.bench.run_context import RunContext
from tests.bench.runner import ROWS, Runner
from tests.support import engine

MINUTES: Final = 50
ROUNDS: Final = 7
# Ten minutes of rest, and a minute before them in which the first sign-in is digested.
REST: Final = 660
# MB of database, with half as many of media.
SIZE: Final = 1200


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS), help="such as 1,4 (default: all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each comparison")
    parser.add_argument("--quick", action="store_true", help="for trying: short, and not exact")
    parser.add_argument("--rest", type=float, default=REST, help="seconds until memory is weighed")
    parser.add_argument(
        "--size",
        type=int,
        default=SIZE,
        metavar="MB",
        help="of the database of rows 9 to 11, and 16",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument(
        "--document", action="store_true", help="rewrite the figures in docs/performance.md"
    )
    options = parser.parse_args(arguments)
    options.rows = set(options.rows.split(","))
    if unknown := options.rows - set(ROWS):
        parser.error(f"unknown rows: {', '.join(sorted(unknown))}")
    if options.document and (options.quick or options.rows != set(ROWS)):
        parser.error("--document needs a whole run")
    return options


def refuse(options: argparse.Namespace) -> None:
    """End with one line where something is missing that the rows need."""
    faults = []
    if options.rows - {"1"} and (fault := engine.find_fault()):
        faults.append(f"no Docker Engine: {fault}; row 1 alone needs none: --rows 1")
    if faults:
        sys.exit("\n".join(faults))


def main(arguments: list[str]) -> int:
    """Run the bench; the exit code says whether every row was measured, not whether goals hold."""
    options = parse(arguments)
    refuse(options)
    # Both sides of row 1 run from byte code, which pip compiles for everybody and uv does not.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    budget = Budget(seconds=MINUTES * 60 + max(0, options.rest - REST))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "synapse-bundle/bench")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as cleaning:
        context = RunContext(
            budget=budget,
            rounds=min(2, options.rounds) if options.quick else options.rounds,
            quick=options.quick,
            megabytes=options.size,
            folder=Path(folder),
            cache=cache,
        )
        runner = Runner(context=context, rows=options.rows, cleaning=cleaning)
        try:
            with budget.enforce():
                runner.run(rest=20 if options.quick else options.rest)
        except OutOfTime:
            runner.give_up(f"no time was left of {MINUTES} minutes")
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            budget.say(f"FAILED: {error}")
            runner.give_up(str(error).partition("\n")[0])
    return publish(runner, options, budget)


def publish(runner: Runner, options: argparse.Namespace, budget: Budget) -> int:
    """Print the table; write the files that were asked for."""
    report = Report(
        surroundings=machine.describe(),
        seconds=budget.elapsed,
        figures=runner.figures,
        levels=runner.levels,
        missing=runner.missing,
    )
    print(report.write_table())
    if options.json:
        report.write_json(options.json)
    if options.document and not report.missing:
        report.write_document()
    return 1 if report.missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

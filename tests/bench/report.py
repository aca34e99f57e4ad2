"""A run's results: a table, JSON, and the figures of docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.bench import plot
from tests.bench.figures import Figure, Level, shorten

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "performance.md"
PLOTS: Final = DOCUMENT.with_suffix("")
BEGIN: Final = "<!-- figures: written by the bench, do not edit -->"
END: Final = "<!-- end of figures -->"
HEADINGS: Final = ("#", "what", "median", "middle half", "goal", "", "rounds")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The results of one run."""

    surroundings: Mapping[str, str]
    seconds: float
    figures: Sequence[Figure]
    levels: Sequence[Level]
    missing: Mapping[str, str]

    def write_json(self, path: Path) -> None:
        """Write everything, every round included."""
        document = {
            "surroundings": dict(self.surroundings),
            "seconds": self.seconds,
            "figures": [figure.document() for figure in self.figures],
            "polls": [asdict(level) for level in self.levels],
            "not measured": dict(self.missing),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def write_table(self) -> str:
        """Return the table in aligned columns, which need no terminal."""
        rows = [HEADINGS, *(list_cells(figure) for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [f"not measured: row {row}: {reason}" for row, reason in self.missing.items()]
        return "\n".join(lines)

    def write_document(self) -> None:
        """Replace the figures in docs/performance.md, and its plots."""
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        body = "\n\n".join(self._write_sections())
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")
        PLOTS.mkdir(exist_ok=True)
        (PLOTS / "ratios.svg").write_text(plot.draw_ratios(self.figures), encoding="utf-8")
        (PLOTS / "polls.svg").write_text(plot.draw_polls(self.levels), encoding="utf-8")

    def _write_sections(self) -> Iterable[str]:
        place = [f"{name}: {value}" for name, value in self.surroundings.items()]
        yield tabulate(HEADINGS, map(list_cells, self.figures))
        yield "![Each ratio with its rounds and its goal](performance/ratios.svg)"
        yield "Both sides, medians:"
        yield tabulate(("#", "sides", "note"), map(list_sides, self.figures))
        yield "Long polls, as their number grows (times of `/versions` in ms, memory in KiB):"
        yield tabulate(("held", "median", "p99", "p99 of Synapse alone", "Apache's KiB for each"),
                       ([shorten(value) for value in asdict(level).values()] for level in self.levels))  # fmt: skip
        yield "![The p99 of /versions beside held long polls](performance/polls.svg)"
        yield "Measured in one run of " + f"{self.seconds / 60:.0f} minutes:"
        yield "\n".join(f"- {line}" for line in place)


def list_cells(figure: Figure) -> tuple[str, ...]:
    """Return a figure's cells under HEADINGS."""
    low, high = figure.quartiles
    spread = f"{shorten(low)} to {shorten(high)}" if len(figure.values) > 1 else ""
    median = f"{shorten(figure.median)} {figure.unit}".rstrip()
    goal = str(figure.goal or "")
    return figure.row, figure.what, median, spread, goal, figure.verdict, str(len(figure.values))


def list_sides(figure: Figure) -> tuple[str, str, str]:
    """Return what a figure was made of."""
    sides = "; ".join(contender.describe() for contender in figure.contenders)
    return figure.row, sides, figure.note


def tabulate(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)

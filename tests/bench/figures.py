"""The results of a run: figures with their rounds, goals and contenders."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement: a value (seconds, requests/s, MiB) and the CPU-seconds it took."""

    value: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One side of a comparison, with a sample for each round."""

    label: str
    unit: str
    samples: tuple[Sample, ...]
    cpu_unit: str = "CPU s"

    @property
    def value(self) -> float:
        """The median value."""
        return statistics.median(sample.value for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median of the CPU-seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    def describe(self) -> str:
        """Return both medians, for a table."""
        used = f", {self.cpu:.2f} {self.cpu_unit}" if any(s.cpu for s in self.samples) else ""
        return f"{self.label}: {shorten(self.value)} {self.unit}{used}"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound that the median must keep."""

    bound: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        """The bound, for a table."""
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the result; without a unit it is a ratio."""

    row: str
    what: str
    values: tuple[float, ...]
    unit: str = ""
    goal: Goal | None = None
    contenders: tuple[Contender, ...] = ()
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the rounds lies between these."""
        if len(self.values) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    @property
    def verdict(self) -> str:
        """Whether the goal is reached, in a word."""
        if self.goal is None:
            return ""
        return "met" if self.goal.holds(self.median) else "missed"

    def document(self) -> dict[str, Any]:
        """Return the figure for JSON."""
        return {
            "row": self.row,
            "what": self.what,
            "unit": self.unit or "ratio",
            "median": self.median,
            "quartiles": self.quartiles,
            "rounds": self.values,
            "goal": str(self.goal) if self.goal else None,
            "verdict": self.verdict or None,
            "contenders": [describe(contender) for contender in self.contenders],
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class Level:
    """What `held` long polls at once did to other requests; times in ms, memory in KiB per poll."""

    held: int
    median: float
    p99: float
    direct_p99: float
    memory: float


def describe(contender: Contender) -> dict[str, Any]:
    """Return a contender for JSON."""
    return {
        "label": contender.label,
        "unit": contender.unit,
        "median": contender.value,
        "values": [sample.value for sample in contender.samples],
        "cpu_unit": contender.cpu_unit,
        "cpu_median": contender.cpu,
        "cpu": [sample.cpu for sample in contender.samples],
    }


def divide(ours: Contender, reference: Contender) -> tuple[float, ...]:
    """Return the ratio of each round; both sides of a round were measured next to each other."""
    pairs = zip(ours.samples, reference.samples, strict=True)
    return tuple(mine.value / theirs.value for mine, theirs in pairs)


def take_percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def place_row(figure: Figure) -> tuple[int, str]:
    """Return what orders figures by row: 9a, 9b, 10."""
    return int(figure.row.rstrip("abcdefghij")), figure.row


def shorten(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

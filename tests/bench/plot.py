"""Plots as SVG, by hand: two small pictures need no library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tests.bench.figures import Figure, Level, shorten

WIDTH: Final = 860
LABELS: Final = 430
LINE: Final = 34
POLLS: Final = (
    "p99 of /versions beside held long polls: through Apache (line), Synapse alone (dashes)"
)
STYLE: Final = (
    "<style>text{font:13px sans-serif;fill:#555}.met{fill:#2a7d4f}.missed{fill:#b3372f}"
    ".none{fill:#6b7280}.goal{stroke:#111;stroke-width:2}.axis{stroke:#bbb}"
    ".ours{stroke:#2a7d4f;fill:none;stroke-width:2}.direct{stroke:#6b7280;fill:none;stroke-width:2;"
    "stroke-dasharray:5 4}@media(prefers-color-scheme:dark){text{fill:#bbb}.goal{stroke:#eee}"
    ".axis{stroke:#555}}</style>"
)


def draw_ratios(figures: Sequence[Figure]) -> str:
    """Draw each ratio: a bar to the median, a dot for each round, a stroke at the goal."""
    ratios = [figure for figure in figures if not figure.unit]
    widest = max((max(figure.values) for figure in ratios), default=1.0)
    scale = (WIDTH - LABELS - 60) / max(widest, 1.0)
    rows = (draw_ratio(figure, 20 + number * LINE, scale) for number, figure in enumerate(ratios))
    return frame(rows, height=30 + LINE * len(ratios))


def draw_ratio(figure: Figure, top: float, scale: float) -> str:
    """Draw one ratio."""
    shade, middle = figure.verdict or "none", top + 9
    dots = "".join(
        f'<circle cx="{LABELS + value * scale:.1f}" cy="{middle}" r="2.5" class="{shade}"/>'
        for value in figure.values
    )
    goal = LABELS + figure.goal.bound * scale if figure.goal else 0.0
    mark = f'<path class="goal" d="M{goal:.1f} {top - 4}v26"/>' if figure.goal else ""
    return (
        f'<text x="{LABELS - 8}" y="{top + 13}" text-anchor="end" font-size="11">'
        f"{escape(abbreviate(figure))}</text>"
        f'<rect x="{LABELS}" y="{top}" width="{figure.median * scale:.1f}" height="18"'
        f' class="{shade}" opacity=".35"/>{dots}{mark}'
        f'<text x="{WIDTH - 8}" y="{top + 13}" text-anchor="end">{shorten(figure.median)}</text>'
    )


def abbreviate(figure: Figure) -> str:
    """Return a label that fits."""
    text = f"{figure.row}  {figure.what.replace('`', '')}"
    return text if len(text) <= 66 else f"{text[:65]}…"


def draw_polls(levels: Sequence[Level]) -> str:
    """Draw the p99 of /versions over the number of polls, through Apache and direct."""
    left, bottom, height = 60, 240, 200
    most = max((level.held for level in levels), default=1)
    top = max((max(level.p99, level.direct_p99) for level in levels), default=100) * 1.1
    top = max(top, 110.0)

    def place(held: float, time: float) -> str:
        return f"{left + held / most * (WIDTH - left - 40):.1f},{bottom - time / top * height:.1f}"

    def join(times: Iterable[float]) -> str:
        return " ".join(place(lv.held, time) for lv, time in zip(levels, times, strict=True))

    limit = bottom - 100 / top * height
    parts = [
        f'<path class="axis" d="M{left} 30V{bottom}H{WIDTH - 20}"/>',
        f'<path class="goal" stroke-dasharray="2 4" d="M{left} {limit:.1f}H{WIDTH - 20}"/>',
        f'<text x="{left - 8}" y="{limit + 4:.1f}" text-anchor="end">100 ms</text>',
        f'<polyline class="ours" points="{join(lv.p99 for lv in levels)}"/>',
        f'<polyline class="direct" points="{join(lv.direct_p99 for lv in levels)}"/>',
        *(f'<text x="{place(lv.held, 0).split(",")[0]}" y="{bottom + 18}" text-anchor="middle">'
          f"{lv.held}</text>" for lv in levels),
        f'<text x="{left}" y="18">{POLLS}</text>',
    ]  # fmt: skip
    return frame(parts, height=bottom + 30)


def frame(parts: Iterable[str], *, height: float) -> str:
    """Return a whole picture."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}">'
        f"{STYLE}{''.join(parts)}</svg>\n"
    )

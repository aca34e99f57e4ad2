"""Rows of findings as a table (on a terminal), as plain lines (on a pipe) or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .findings import Row


def show(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the rows in the form that suits the reader."""
    if as_json:
        click.echo(_format_json(rows))
    elif sys.stdout.isatty():
        console = Console()
        console.print(_build_table(rows))
        console.print(_summarize(rows), markup=False, highlight=False)
    else:
        click.echo("\n".join((*_format_lines(rows), _summarize(rows))))


def _format_json(rows: Sequence[Row]) -> str:
    """Return the rows as one JSON object: `ok`, and `checks` in order."""
    content = {
        "ok": all(row.ok for row in rows),
        "checks": [{"name": row.name, **asdict(row)} for row in rows],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _summarize(rows: Sequence[Row]) -> str:
    """Return the closing sentence."""
    broken = sum(not row.ok for row in rows)
    if broken:
        return f"{broken} of {len(rows)} checks failed"
    return f"all {len(rows)} checks hold"


def _format_lines(rows: Sequence[Row]) -> Iterable[str]:
    """Yield the lines for a pipe: one per row, and two more for a failed one."""
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        yield f"{'ok    ' if row.ok else 'FAILED'}  {row.name:<{width}}  {row.detail}"
        if not row.ok:
            yield f"        cause: {row.cause}"
            yield f"        next:  {row.next_step}"


def _build_table(rows: Sequence[Row]) -> Table:
    """Return the table for a terminal."""
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "check"):
        built.add_column(heading, no_wrap=True)
    built.add_column("found", overflow="fold")
    for row in rows:
        # Text, not markup: what a server says must not be read as a style.
        mark = Text("ok", style="green") if row.ok else Text("FAILED", style="bold red")
        built.add_row(mark, Text(row.name), _found(row))
    return built


def _found(row: Row) -> Text:
    found = Text(row.detail)
    if not row.ok:
        found.append(f"\ncause: {row.cause}\nnext:  {row.next_step}")
    return found

"""Results for people (a table on a terminal, plain lines on a pipe) and for machines (JSON)."""

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

    from .findings import Result


def render(results: Sequence[Result], *, as_json: bool) -> None:
    """Print the results in the form that suits whoever reads them."""
    if as_json:
        click.echo(json_text(results))
    elif sys.stdout.isatty():
        console = Console()
        console.print(table(results))
        console.print(summary(results), markup=False, highlight=False)
    else:
        click.echo("\n".join((*plain_lines(results), summary(results))))


def json_text(results: Sequence[Result]) -> str:
    """Return the results as one JSON object: `ok`, and `checks` in the order of the hops."""
    content = {
        "ok": all(result.ok for result in results),
        "checks": [{"name": result.name, **asdict(result)} for result in results],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def summary(results: Sequence[Result]) -> str:
    """Return the sentence that says how it went."""
    broken = sum(not result.ok for result in results)
    if broken:
        return f"{broken} of {len(results)} checks failed"
    return f"all {len(results)} checks hold"


def plain_lines(results: Sequence[Result]) -> Iterable[str]:
    """Yield the lines for a pipe: one per result, and two more for a failed one."""
    width = max((len(result.name) for result in results), default=0)
    for result in results:
        yield f"{'ok    ' if result.ok else 'FAILED'}  {result.name:<{width}}  {result.detail}"
        if not result.ok:
            yield f"        cause: {result.cause}"
            yield f"        next:  {result.next_step}"


def table(results: Sequence[Result]) -> Table:
    """Return the table for a terminal."""
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "check"):
        built.add_column(heading, no_wrap=True)
    built.add_column("found", overflow="fold")
    for result in results:
        # Text, not markup: what a server says must not be read as a style.
        mark = Text("ok", style="green") if result.ok else Text("FAILED", style="bold red")
        built.add_row(mark, Text(result.name), _found(result))
    return built


def _found(result: Result) -> Text:
    found = Text(result.detail)
    if not result.ok:
        found.append(f"\ncause: {result.cause}\nnext:  {result.next_step}")
    return found

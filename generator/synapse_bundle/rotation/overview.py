"""What a person sees of a rotation: the secrets with their age and cost, and the plan of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..credentials.file_names import DIRECTORY
from ..pipeline import Preparation
from ..planning import COMPOSE
from .restarts import list_restarts
from .rotatable import ROTATABLE, Rotatable

_WIDTH: Final = max(map(len, ROTATABLE))


def write_rows(bundle: Path, rows: Iterable[tuple[Rotatable, Preparation]]) -> Iterator[str]:
    """Yield a line for each secret: its age, what a rotation restarts, and what it costs."""
    for secret, prepared in rows:
        age = _measure_age(bundle / DIRECTORY / secret.name)
        restarted = ", ".join(find_restarts(bundle, prepared)) or "nothing"
        yield f"{secret.name:<{_WIDTH}}  {age:>5}  {secret.cost}"
        yield f"{'':<{_WIDTH}}  {'':>5}  restarts {restarted}"


def write_plan(
    bundle: Path, secrets: Sequence[Rotatable], prepared: Preparation, *, running: bool
) -> Iterator[str]:
    """Yield what a rotation changes, and what it restarts."""
    yield from (f"{secret.name:<{_WIDTH}}  {secret.cost}" for secret in secrets)
    restarted = ", ".join(find_restarts(bundle, prepared)) or "nothing"
    if running:
        yield f"Restarts: {restarted}"
    else:
        yield f"Nothing of the bundle runs here: only files change. `up -d` then recreates: {restarted}"


def find_restarts(bundle: Path, prepared: Preparation) -> list[str]:
    """Return the services that Compose recreates after a preparation is written."""
    after = next(file.content for file in prepared.plan.files if file.path == COMPOSE)
    return list_restarts((bundle / COMPOSE).read_bytes(), after)


def _measure_age(path: Path) -> str:
    """Return the age of a file in days, as it is shown."""
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return f"{max(0, (datetime.now(UTC) - written).days)} d"

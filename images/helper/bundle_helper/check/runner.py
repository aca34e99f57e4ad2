"""Runs probes side by side and turns anything that stops one into a row of the table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ..concurrency import run_all
from ..errors import HelperError
from ..exchange import ExchangeError
from ..findings import Finding, Row, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..settings.service_settings import ServiceSettings

_PATIENCE_SECONDS: Final = 120.0


class Probe(NamedTuple):
    """A proof and the name of its row."""

    name: str
    prove: Callable[[ServiceSettings], Finding]


def run(
    probes: Sequence[Probe], settings: ServiceSettings, patience: float = _PATIENCE_SECONDS
) -> tuple[Row, ...]:
    """Return one row per probe, in their order, after at most `patience` seconds."""
    found = run_all([partial(_try, probe, settings) for probe in probes], patience)
    return tuple(
        _row(probe.name, _unfinished(patience) if isinstance(finding, Exception) else finding)
        for probe, finding in zip(probes, found, strict=True)
    )


def _row(name: str, finding: Finding) -> Row:
    return Row(
        name=name,
        ok=finding.ok,
        detail=finding.detail,
        cause=finding.cause,
        next_step=finding.next_step,
    )


def _try(probe: Probe, settings: ServiceSettings) -> Finding:
    try:
        return probe.prove(settings)
    except ExchangeError as error:
        return failed(
            error.message,
            cause=f"{error.service}, or a service behind it, hangs"
            if isinstance(error.__cause__, TimeoutError)
            else f"{error.service} is not running, not ready yet, or not reachable",
            next_step=f"`docker compose ps`, then `docker compose logs {error.service}`",
        )
    except HelperError as error:
        return failed(
            error.message,
            cause="a hop before this one is broken",
            next_step="see the rows above, then `docker compose logs helper`",
        )
    except Exception as error:  # noqa: BLE001 (a probe that meets nonsense is a failed probe)
        return failed(
            f"the answer has an unexpected form ({type(error).__name__})",
            cause="the service behind it is not the one this bundle expects",
            next_step="`docker compose ps`, then `docker compose logs`",
        )


def _unfinished(patience: float) -> Finding:
    return failed(
        f"not finished after {patience:.0f} s",
        cause="a service accepts connections and does not answer",
        next_step="`docker compose ps`, then `docker compose logs`",
    )

"""Several calls at once, none of which may take forever."""

from __future__ import annotations

from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Result = TypeVar("_Result")


def run_all(calls: Sequence[Callable[[], _Result]], patience: float) -> list[_Result | Exception]:
    """Return what each call returned or raised; a TimeoutError for one not done in `patience` seconds.

    The threads are daemons: one that hangs does not keep the process, nor a Ctrl-C.
    """
    results: list[_Result | Exception] = [TimeoutError() for _ in calls]

    def run(number: int) -> None:
        try:
            results[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 (the caller decides what it means)
            results[number] = error

    threads = [Thread(target=run, args=(n,), daemon=True) for n in range(len(calls))]
    deadline = monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return list(results)

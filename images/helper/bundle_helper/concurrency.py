"""Several pieces of work at once, none of which may take for ever."""

from __future__ import annotations

from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Result = TypeVar("_Result")


def run_at_once(
    errands: Sequence[Callable[[], _Result]], patience: float
) -> list[_Result | Exception]:
    """Return what each gave or raised, after at most `patience` seconds: then a TimeoutError.

    The threads are daemons: one that hangs, or an impatient person's Ctrl-C, does not keep the
    process.
    """
    results: list[_Result | Exception] = [TimeoutError() for _ in errands]

    def run(number: int) -> None:
        try:
            results[number] = errands[number]()
        except Exception as error:  # noqa: BLE001 (whoever asked decides what it means)
            results[number] = error

    threads = [Thread(target=run, args=(n,), daemon=True) for n in range(len(errands))]
    deadline = monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return list(results)

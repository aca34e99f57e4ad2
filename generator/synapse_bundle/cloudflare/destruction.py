"""What was made is taken away and what was changed is put back; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from . import corrections, records, tokens, tunnels, workers
from .client import Client, CloudflareError, UncertainError
from .state import Kind, Made, State
from .undoing import Undoing

ROUNDS: Final = 5


def examine(client: Client, state: State) -> list[Undoing]:
    """Return how everything is to be taken back as things are now, in Cloudflare's order.

    Raises BundleError where that would break something of somebody else.
    """
    return [EXAMINERS[made.kind](client, made, state) for made in state.in_order]


def destroy(
    client: Client, state: State, planned: list[Undoing], save: Callable[[State], None]
) -> Iterator[Undoing]:
    """Take everything back, yielding each thing when it is done."""
    for each in planned:
        yield undo(client, each.made, state)
        state = state.forget(each.made)
        save(state)


def undo(client: Client, made: Made, state: State) -> Undoing:
    """Take one thing back, as it is now: what an earlier run has done is not done again."""
    for _ in range(ROUNDS):
        undoing = EXAMINERS[made.kind](client, made, state)
        try:
            perform(client, undoing)
        except UncertainError:
            continue
        return undoing
    raise CloudflareError(f"{made.kind} {made.name} could not be removed; run the command again")


def perform(client: Client, undoing: Undoing) -> None:
    """Send what an undoing takes; what is gone meanwhile need not be deleted."""
    for method, path, body in undoing.calls:
        try:
            if undoing.made.kind is Kind.TUNNEL:
                tunnels.delete(client, path)
            else:
                client.send(method, path, body)
        except CloudflareError as error:
            if not error.missing or method != "DELETE":
                raise


EXAMINERS: Final[dict[Kind, Callable[[Client, Made, State], Undoing]]] = {
    Kind.ROUTE: workers.examine_route,
    Kind.WORKER: workers.examine,
    Kind.RECORD: records.examine,
    Kind.PROXY: records.examine_proxy,
    Kind.SETTING: corrections.examine,
    Kind.RULE: corrections.examine_rule,
    Kind.TOKEN: tokens.examine,
    Kind.TUNNEL: tunnels.examine,
}

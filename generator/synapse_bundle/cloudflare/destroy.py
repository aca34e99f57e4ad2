"""What was made is taken away and what was changed is put back; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from . import removal as undoing
from .kinds import browser_checks as corrections
from .kinds import dns as records
from .kinds import dns_token as tokens
from .kinds import tunnel as tunnels
from .kinds import worker as workers
from .removal import Undoing, Verb
from .session import Client, CloudflareError, UncertainError
from .state import Kind, Made, State

ROUNDS: Final = 5


def examine(client: Client, state: State, secret: str = "") -> list[Undoing]:
    """Return how everything is to be taken back as things are now, in Cloudflare's order.

    `secret` is the helper's token as it lies in the bundle. Raises BundleError where an undoing
    would break something of somebody else.
    """
    return [examine_one(client, made, state, secret) for made in state.in_order]


def examine_one(client: Client, made: Made, state: State, secret: str) -> Undoing:
    """Return how one thing is to be taken back."""
    found = EXAMINERS[made.kind](client, made, state)
    hidden = made.kind is Kind.TOKEN and found.verb is Verb.GONE
    if hidden and tokens.is_alive(client, made, secret):
        return undoing.skip(
            made,
            f"API token {made.name}: it is alive and belongs to another user; run this with a token"
            " of theirs, or let them delete it",
        )
    return found


def destroy(
    client: Client,
    state: State,
    planned: list[Undoing],
    save: Callable[[State], None],
    secret: str = "",
) -> Iterator[Undoing]:
    """Take everything back, yielding each thing when it is done; what is skipped is remembered."""
    for each in planned:
        done = undo(client, each.made, state, secret)
        yield done
        if done.verb is not Verb.SKIP:
            state = state.forget(each.made)
            save(state)


def undo(client: Client, made: Made, state: State, secret: str = "") -> Undoing:
    """Take one thing back, as it is now: what an earlier run has done is not done again."""
    for _ in range(ROUNDS):
        found = examine_one(client, made, state, secret)
        try:
            perform(client, found)
        except UncertainError:
            continue
        except CloudflareError as error:
            if made.kind not in {Kind.SETTING, Kind.RULE}:
                raise
            return corrections.skip(made, error)
        return found
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

"""How what a bundle made is called at Cloudflare, so that it is found again by its mark alone."""

from __future__ import annotations

import re
from typing import Final

from .desired import ADDRESSES, PLACEHOLDER, TUNNEL_DOMAIN, Record, Worker
from .state import ID, Kind, State

PRODUCT: Final = "synapse-bundle"
LONGEST_SCRIPT: Final = 63  # a Worker's name is a DNS label
LONGEST_TOKEN: Final = 120


def write_mark(state: State) -> str:
    """Return what begins every comment and description."""
    return f"{PRODUCT} {state.id}"


def name_tunnel(state: State) -> str:
    """Return the tunnel's name."""
    return f"{PRODUCT} {state.server_name} {state.id}"


def name_script(worker: Worker, state: State) -> str:
    """Return the Worker's name.

    The mark is in it, so that it never meets a Worker that somebody deployed by hand, and so that
    a route, which can bear no mark, is known by the Worker it leads to.
    """
    return f"{worker.name[: LONGEST_SCRIPT - len(state.id) - 1]}-{state.id}"


def is_our_script(name: str, state: State) -> bool:
    """Tell whether a Worker's name bears the bundle's mark."""
    return name.endswith(f"-{state.id}")


def name_subdomain(state: State) -> str:
    """Return the name to register at workers.dev for an account that has none."""
    return f"matrix-{state.id}"


def name_token(state: State, zone: str) -> str:
    """Return the name of the helper's token."""
    return f"{write_mark(state)} dns of {zone}"[:LONGEST_TOKEN]


def comment(state: State, purpose: str) -> str:
    """Return the comment of a DNS record; free plans allow 100 characters."""
    return f"{write_mark(state)}: {purpose}"


def is_ours(record: Record, state: State) -> bool:
    """Tell whether a record bears the bundle's mark."""
    return record.comment.startswith(f"{write_mark(state)}:")


def find_stranger(text: str, state: State) -> str:
    """Return the id of another bundle in a comment, or in a tunnel's name for the same server."""
    for lead, tail in ((PRODUCT, ":.*"), (f"{PRODUCT} {re.escape(state.server_name)}", "")):
        match = re.fullmatch(f"{lead} ({ID.pattern}){tail}", text)
        if match and match[1] != state.id:
            return match[1]
    return ""


def divide(records: tuple[Record, ...], state: State) -> tuple[list[Record], list[Record]]:
    """Return the records that decide where a name leads: the bundle's own, and others'."""
    # Without its mark a record is known by its id, if it leads where only ours would.
    ids = {made.id for made in state.made if made.kind is Kind.RECORD and made.id}
    ours: list[Record] = []
    foreign: list[Record] = []
    for record in records:
        if record.type in ADDRESSES:
            typical = record.content == PLACEHOLDER or record.content.endswith(TUNNEL_DOMAIN)
            own = is_ours(record, state) or (typical and record.id in ids)
            (ours if own else foreign).append(record)
    return ours, foreign


def show_records(records: list[Record], state: State) -> str:
    """Return records as a person would write them, with the mark of another bundle."""
    return " and ".join(
        f"{record} (made by another bundle, {stranger})" if stranger else str(record)
        for record in records
        for stranger in [find_stranger(record.comment, state)]
    )

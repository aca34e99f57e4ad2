"""How a bundle knows at Cloudflare what it created: by its id in every name, comment or description."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .desired import DesiredWorker
from .dns_records import ADDRESSES, PLACEHOLDER, TUNNEL_DOMAIN, Record
from .state import ID, CloudflareState

RECORD: Final = "record"  # the type of a record's entry in the state
_PRODUCT: Final = "synapse-bundle"
_LONGEST_SCRIPT: Final = 63  # a Worker's name is a DNS label
_LONGEST_TOKEN: Final = 120


def write_tag(state: CloudflareState) -> str:
    """Return what every comment and description begins with."""
    return f"{_PRODUCT} {state.id}"


def name_tunnel(state: CloudflareState) -> str:
    """Return the tunnel's name."""
    return f"{_PRODUCT} {state.server_name} {state.id}"


def name_script(worker: DesiredWorker, state: CloudflareState) -> str:
    """Return the Worker's name.

    It contains the id, so that it never collides with a Worker that was deployed by hand, and so
    that a route, which has no field for the id, is known by the Worker it leads to.
    """
    return f"{worker.name[: _LONGEST_SCRIPT - len(state.id) - 1]}-{state.id}"


def is_our_script(name: str, state: CloudflareState) -> bool:
    """Return whether a Worker's name contains the bundle's id."""
    return name.endswith(f"-{state.id}")


def name_subdomain(state: CloudflareState) -> str:
    """Return the workers.dev subdomain to register for an account without one."""
    return f"matrix-{state.id}"


def name_token(state: CloudflareState, zone: str) -> str:
    """Return the name of the helper's token."""
    return f"{write_tag(state)} dns of {zone}"[:_LONGEST_TOKEN]


def write_comment(state: CloudflareState, purpose: str) -> str:
    """Return the comment of a DNS record; the free plan allows 100 characters."""
    return f"{write_tag(state)}: {purpose}"


def is_ours(record: Record, state: CloudflareState) -> bool:
    """Return whether a record's comment has the bundle's id."""
    return record.comment.startswith(f"{write_tag(state)}:")


def find_other_bundle(text: str, state: CloudflareState) -> str:
    """Return the id of another bundle in a comment, or in a tunnel's name for the same server."""
    for lead, tail in ((_PRODUCT, ":.*"), (f"{_PRODUCT} {re.escape(state.server_name)}", "")):
        match = re.fullmatch(f"{lead} ({ID.pattern}){tail}", text)
        if match and match[1] != state.id:
            return match[1]
    return ""


def split(records: Sequence[Record], state: CloudflareState) -> tuple[list[Record], list[Record]]:
    """Return the records that decide where a name leads: this bundle's, and foreign ones."""
    # A record that lost its comment is known by its id, if it leads where only ours would.
    ids = {entry.id for entry in state.entries if entry.type == RECORD and entry.id}
    ours: list[Record] = []
    foreign: list[Record] = []
    for record in records:
        if record.type in ADDRESSES:
            typical = record.content == PLACEHOLDER or record.content.endswith(TUNNEL_DOMAIN)
            own = is_ours(record, state) or (typical and record.id in ids)
            (ours if own else foreign).append(record)
    return ours, foreign


def show_records(records: Sequence[Record], state: CloudflareState) -> str:
    """Return records as a person would write them, with the id of another bundle."""
    return " and ".join(
        f"{record} (created by another bundle, {other})" if other else str(record)
        for record in records
        for other in [find_other_bundle(record.comment, state)]
    )

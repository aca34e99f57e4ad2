"""The state file: what a bundle created or changed at Cloudflare, and what was there before.

It contains no secret. An entry is written before the request that carries it out, so that after an
interruption anywhere the next run knows what may have happened.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .. import output_directory, writing
from ..credentials.generated import READABLE
from ..errors import BundleError, SettingsError

NAME: Final = output_directory.CLOUDFLARE
ID: Final = re.compile(rf"[{READABLE}]{{8}}")
# What an entry may put into a path of the API.
IDENTIFIER: Final = re.compile(r"[0-9a-f-]{0,36}")
_PARENT: Final = re.compile(r"[0-9a-f]{32}|/user|/accounts/[0-9a-f]{32}")
_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class StateEntry:
    """One thing that was created or changed.

    `type` says what it is: a kind has one or more types. `parent` is the id of its zone or account,
    `name` its name there, `id` Cloudflare's own id as soon as it is known. `before` is what was
    there before, `after` what this bundle put there.
    """

    type: str
    parent: str
    name: str
    id: str = ""
    before: Any = None
    after: Any = None

    @classmethod
    def parse(cls, document: dict[str, Any]) -> StateEntry:
        """Read an entry of the file; raises TypeError or LookupError for what is not one."""
        fields = dict(document)
        return cls(type=fields.pop("kind"), parent=fields.pop("place"), **fields)

    def serialize(self) -> dict[str, Any]:
        """Return the entry as the file has it."""
        return {
            "kind": self.type,
            "place": self.parent,
            "name": self.name,
            "id": self.id,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, kw_only=True)
class CloudflareState:
    """Everything a bundle has at Cloudflare.

    `id` is the bundle's id, by which what it created is known there; `left` names the resources
    that the operator wants left as they are.
    """

    id: str
    server_name: str
    entries: tuple[StateEntry, ...] = ()
    left: tuple[str, ...] = ()

    def find(self, type_: str, name: str) -> StateEntry | None:
        """Return an entry, or None."""
        return next((e for e in self.entries if (e.type, e.name) == (type_, name)), None)

    def add(self, entry: StateEntry) -> CloudflareState:
        """Return the state with an entry, which replaces an earlier one of its type and name."""
        return replace(self, entries=(*self.remove(entry).entries, entry))

    def remove(self, entry: StateEntry) -> CloudflareState:
        """Return the state without an entry."""
        kept = (e for e in self.entries if (e.type, e.name) != (entry.type, entry.name))
        return replace(self, entries=tuple(kept))

    def serialize(self) -> bytes:
        """Return the text of the state file."""
        document = {
            "format": _FORMAT,
            "id": self.id,
            "server_name": self.server_name,
            "made": [entry.serialize() for entry in self.entries],
            "left": self.left,
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def create(server_name: str, identity: str = "") -> CloudflareState:
    """Return an empty state, with a random id or the id of a state that was lost.

    Raises SettingsError for what cannot be an id.
    """
    if identity and not ID.fullmatch(identity):
        raise SettingsError(
            f"{identity!r} is not a bundle id; use its eight lowercase letters and digits"
        )
    made = "".join(secrets.choice(READABLE) for _ in range(8))
    return CloudflareState(id=identity or made, server_name=server_name)


def read(bundle: Path, require_entry: Callable[[StateEntry], None]) -> CloudflareState | None:
    """Return a bundle's state, or None; raises SettingsError if it cannot be used.

    `require_entry` raises ValueError or LookupError for an entry that no apply has written.
    """
    path = bundle / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") > _FORMAT:
            raise SettingsError(f"{path} is from a newer synapse-bundle; upgrade synapse-bundle")
        entries = tuple(map(StateEntry.parse, document.pop("made")))
        fields: dict[str, Any] = {**document, "left": tuple(document["left"])}
        state = CloudflareState(**fields, entries=entries)
        _require_ids(state)
        for entry in entries:
            require_entry(entry)
    except FileNotFoundError:
        return None
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise SettingsError(
            f"{path} cannot be read; restore it from a backup. It records what at Cloudflare belongs"
            " to this bundle, and what was there before"
        ) from error
    return state


def _require_ids(state: CloudflareState) -> None:
    """Raise ValueError for what could lead a request away from what is this bundle's."""
    if not ID.fullmatch(state.id):
        raise ValueError(state.id)
    for entry in state.entries:
        if not (_PARENT.fullmatch(entry.parent) and IDENTIFIER.fullmatch(entry.id)):
            raise ValueError(entry.parent)


def write(bundle: Path, state: CloudflareState) -> None:
    """Write a state to disk, whole or not at all; raises BundleError if the disk refuses."""
    try:
        writing.stage(bundle / NAME, state.serialize(), 0o644).replace(bundle / NAME)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{bundle / NAME}: {error.strerror}") from error


def delete(bundle: Path) -> None:
    """Delete the state file; raises BundleError if the disk refuses."""
    try:
        (bundle / NAME).unlink(missing_ok=True)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{bundle / NAME}: {error.strerror}") from error

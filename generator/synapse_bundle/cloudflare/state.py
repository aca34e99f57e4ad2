"""The state file: what a bundle made or changed at Cloudflare, and what stood there before.

It holds no secret. An intention is written before the request that carries it out, so that
whatever cuts a run off, the next one knows what may have happened.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from .. import writing
from ..credentials.generated import READABLE
from ..errors import BundleError, SettingsError

NAME: Final = writing.CLOUDFLARE
FORMAT: Final = 1
ID: Final = re.compile(rf"[{READABLE}]{{8}}")
# What an entry may put into an address of the API.
PLACE: Final = re.compile(r"[0-9a-f]{32}|/user|/accounts/[0-9a-f]{32}")
IDENTIFIER: Final = re.compile(r"[0-9a-f-]{0,36}")
SCRIPT: Final = re.compile(r"[a-z0-9_-]{1,63}")


class Kind(StrEnum):
    """What sort of thing an entry is, in the order in which things can be taken back."""

    ROUTE = "route"
    WORKER = "worker"
    RECORD = "record"
    PROXY = "proxy"
    SETTING = "setting"
    RULE = "rule"
    TOKEN = "token"  # noqa: S105  # a word
    TUNNEL = "tunnel"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One thing that was made or changed.

    `place` is the id of its zone or account, `name` what it is called there, `id` Cloudflare's own
    id as soon as it is known. `before` is what stood in its place, `after` what we put there.
    """

    kind: Kind
    place: str
    name: str
    id: str = ""
    before: Any = None
    after: Any = None


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything a bundle has at Cloudflare.

    `id` is the bundle's mark on it, `left` names what the operator wants left as it is.
    """

    id: str
    server_name: str
    made: tuple[Made, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def in_order(self) -> list[Made]:
        """The entries in the order in which they can be taken back."""
        order = list(Kind)
        return sorted(self.made, key=lambda made: order.index(made.kind))

    def find(self, kind: Kind, name: str) -> Made | None:
        """Return an entry."""
        return next((m for m in self.made if (m.kind, m.name) == (kind, name)), None)

    def remember(self, made: Made) -> State:
        """Return the state with an entry added, or put in the place of an earlier one."""
        return replace(self, made=(*self.forget(made).made, made))

    def forget(self, made: Made) -> State:
        """Return the state without an entry."""
        kept = (m for m in self.made if (m.kind, m.name) != (made.kind, made.name))
        return replace(self, made=tuple(kept))

    def serialize(self) -> bytes:
        """Return the text of the state file."""
        document = {"format": FORMAT, **asdict(self)}
        return (json.dumps(document, indent=1) + "\n").encode()


def create(server_name: str, identity: str = "") -> State:
    """Return a first state, with a random mark or the one of a state that was lost.

    Raises SettingsError for what cannot be a mark.
    """
    if identity and not ID.fullmatch(identity):
        raise SettingsError(f"{identity!r} is no bundle id: eight small letters and digits")
    made = "".join(secrets.choice(READABLE) for _ in range(8))
    return State(id=identity or made, server_name=server_name)


def read(bundle: Path) -> State | None:
    """Return a bundle's state, or None; raises SettingsError where it cannot be used."""
    path = bundle / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") > FORMAT:
            raise SettingsError(f"{path} is of a newer synapse-bundle; upgrade synapse-bundle")
        made = tuple(Made(**{**m, "kind": Kind(m["kind"])}) for m in document.pop("made"))
        state = State(**{**document, "made": made, "left": tuple(document["left"])})
        check(state)
    except FileNotFoundError:
        return None
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise SettingsError(
            f"{path} cannot be read; put it back from a copy. It knows what at Cloudflare is this"
            " bundle's and what stood there before"
        ) from error
    return state


def check(state: State) -> None:
    """Raise ValueError for what no run of ours has written: it may lead out of what is ours."""
    if not ID.fullmatch(state.id):
        raise ValueError(state.id)
    for made in state.made:
        if not (PLACE.fullmatch(made.place) and IDENTIFIER.fullmatch(made.id)):
            raise ValueError(made.place)
        if made.kind is Kind.WORKER:
            zone = made.before["zone"]
            if not (SCRIPT.fullmatch(made.name) and IDENTIFIER.fullmatch(zone)):
                raise ValueError(made.name)
        if made.kind is Kind.RECORD and any(b["name"] != made.name for b in made.before or ()):
            raise ValueError(made.name)
        if made.kind in {Kind.SETTING, Kind.RULE} and made.name.count(" ") != 1:
            raise ValueError(made.name)


def write(bundle: Path, state: State) -> None:
    """Put a state on disk, whole or not at all; raises BundleError where the disk refuses."""
    try:
        writing.stage(bundle / NAME, state.serialize(), 0o644).replace(bundle / NAME)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{bundle / NAME}: {error.strerror}") from error


def remove(bundle: Path) -> None:
    """Remove the state file; raises BundleError where the disk refuses."""
    try:
        (bundle / NAME).unlink(missing_ok=True)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{bundle / NAME}: {error.strerror}") from error

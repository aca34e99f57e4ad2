"""What an update is about to replace, on disk before it replaces anything; and which updates stood.

One hidden file in the bundle, which a set or a copy of the folder may carry to another machine: what it
says of images counts only beside the engine that had them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .. import writing
from ..errors import BundleError
from .old_files import OldFile

NAME: Final = ".update.json"
_OWNER_ONLY: Final = 0o600
_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class UpdateJournal:
    """An update that has begun, and everything that is needed to take it back.

    `images` are the ids of the images that ran, by reference, `files` what is at each path that changes, None
    for nothing. `schema` is the newest version of the database that the old Synapse understands; `held`
    are the rows of the check that held before, None if it did not run, `tracebacks` those that were in the
    log. `pulled` are the ids of images that the update brought.
    `started` is when new containers were first started, `seconds` how long that took at most. An update
    that goes back has a `reason`; `data` is then `untouched`, or what became of the database.
    """

    began: datetime
    images: Mapping[str, str]
    files: Mapping[str, OldFile | None] = field(repr=False)
    set_name: str | None = None
    schema: int | None = None
    held: tuple[str, ...] | None = None
    tracebacks: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    started: datetime | None = None
    seconds: float | None = None
    reason: str = ""
    data: str = "untouched"


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Images that ran until `ended`, by reference; `began` is when they had come, None if not known."""

    images: Mapping[str, str]
    began: datetime | None
    ended: datetime


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The updates of a bundle: the one that is under way, the last one that stood, what is kept of others.

    `engine` identifies the engine with the images; `tried` is what the last automatic update was for.
    """

    engine: str
    underway: UpdateJournal | None = None
    last: UpdateJournal | None = None
    stood: datetime | None = None
    seconds: float | None = None
    generations: tuple[Generation, ...] = ()
    tried: str = ""


def read(bundle: Path, engine: str) -> Ledger:
    """Return what is known of a bundle's updates on this engine; BundleError if it is damaged."""
    path = bundle / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] > _FORMAT:
            raise BundleError(f"{path} was written by a newer synapse-bundle; upgrade this one")
        if document["engine"] != engine:
            return Ledger(engine=engine)
        return _parse(document)
    except FileNotFoundError:
        return Ledger(engine=engine)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # It is renamed when whole, so this is the disk, or an edit by hand.
        raise BundleError(
            f"{path} is damaged. If no update is under way, delete it; otherwise first generate and"
            " start the version of synapse-bundle that ran before"
        ) from error


def write(bundle: Path, ledger: Ledger) -> None:
    """Put it on disk; BundleError if the disk refuses."""
    path = bundle / NAME
    content = json.dumps({"format": _FORMAT, **asdict(ledger)}, default=_serialize).encode()
    try:
        staged = writing.stage(path, content, _OWNER_ONLY)
        owner = bundle.stat()
        if os.geteuid() == 0:
            # A set holds the whole folder, and is made by the folder's owner.
            os.chown(staged, owner.st_uid, owner.st_gid)
        staged.replace(path)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error


def _serialize(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(value)


def _parse(document: Mapping[str, Any]) -> Ledger:
    known = {each.name: document[each.name] for each in fields(Ledger)}
    return Ledger(
        **known
        | {name: _parse_journal(document[name]) for name in ("underway", "last")}
        | {
            "stood": _parse_moment(document["stood"]),
            "generations": tuple(
                Generation(
                    images=dict(each["images"]),
                    began=_parse_moment(each["began"]),
                    ended=datetime.fromisoformat(each["ended"]),
                )
                for each in document["generations"]
            ),
        }
    )


def _parse_journal(document: Mapping[str, Any] | None) -> UpdateJournal | None:
    if document is None:
        return None
    known = {each.name: document[each.name] for each in fields(UpdateJournal)}
    files = {path: OldFile(**found) if found else None for path, found in document["files"].items()}
    return UpdateJournal(
        **known
        | {"files": files, "began": datetime.fromisoformat(document["began"])}
        | {"started": _parse_moment(document["started"])}
        | {"held": None if document["held"] is None else tuple(document["held"])}
        | {name: tuple(document[name]) for name in ("tracebacks", "pulled")}
    )


def _parse_moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

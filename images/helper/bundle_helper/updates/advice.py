"""What the list says of the versions that run: nothing to do, an update, a security update. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .version_numbers import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .release_list import PartReleases, ReleaseList
    from .running_versions import RunningPart


class Urgency(Enum):
    """How much an update matters; UNKNOWN where the list or this bundle does not say."""

    UNKNOWN = "unknown"
    CURRENT = "current"
    AVAILABLE = "available"
    SECURITY = "security"


@dataclass(frozen=True, kw_only=True)
class PartAdvice:
    """What to do about one part, in `sentence`; `floor` is the oldest version that is still safe."""

    title: str
    urgency: Urgency
    floor: str | None
    sentence: str
    next_step: str


def advise(running: Iterable[RunningPart], releases: ReleaseList) -> tuple[PartAdvice, ...]:
    """Return the advice for each part that runs."""
    return tuple(_advise_one(part, releases) for part in running)


def _advise_one(part: RunningPart, releases: ReleaseList) -> PartAdvice:
    known = releases.parts.get(part.name)
    if part.version is None:
        return _unknown(part, f"{part.title}: which version runs is not known now")
    if known is None:
        return _unknown(part, f"{part.title} {part.version}: the list does not have it")
    try:
        urgency = _judge(part.version, known)
    except ValueError:
        return _unknown(part, f"{part.title} {part.version}: cannot be compared with the list")
    newest = _name_newest(known)
    sentence = {
        Urgency.CURRENT: f"{part.title} {part.version}: nothing to do",
        Urgency.AVAILABLE: f"{part.title} {part.version}: {newest} is out",
        Urgency.SECURITY: f"{part.title} {part.version}: SECURITY: versions before {known.floor}"
        f" have known holes; the newest is {newest}",
    }[urgency]
    return PartAdvice(
        title=part.title,
        urgency=urgency,
        floor=known.floor,
        sentence=sentence,
        next_step="" if urgency is Urgency.CURRENT else known.advice,
    )


def _judge(version: str, known: PartReleases) -> Urgency:
    runs = parse_version(version)
    if known.floor is not None and runs < parse_version(known.floor):
        return Urgency.SECURITY
    newest = parse_version(known.releases[0].version)
    return Urgency.AVAILABLE if runs < newest else Urgency.CURRENT


def _name_newest(known: PartReleases) -> str:
    newest = known.releases[0]
    return newest.version if newest.version == newest.day else f"{newest.version} ({newest.day})"


def _unknown(part: RunningPart, sentence: str) -> PartAdvice:
    return PartAdvice(
        title=part.title, urgency=Urgency.UNKNOWN, floor=None, sentence=sentence, next_step=""
    )

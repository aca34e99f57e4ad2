"""The rows of `updates` and of `check`: the list, and each part that it speaks of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..findings import Finding, Row, failed, passed
from .advice import PartAdvice, Urgency, advise
from .look_up import recall
from .messages import describe_trouble
from .running_versions import find_running

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings
    from .subscription import Subscription

_LIST: Final = "list of releases"
_NONE: Final = "none: nothing is looked up; `updates.list` names what tells of security releases"
_HOLES: Final = "this version has holes that are publicly known"


def list_rows(settings: ServiceSettings) -> tuple[Row, ...]:
    """Return a row for the list and one for each part; one that says so where no list is wanted."""
    rows = [Row(name=_LIST, **vars(probe_list(settings)))]
    rows += [Row(name=part.title, **vars(_judge_part(part))) for part in _read_advice(settings)]
    return tuple(rows)


def probe_list(settings: ServiceSettings) -> Finding:
    """Report which list is known, and whether it is renewed."""
    return passed(_NONE) if settings.releases is None else _judge_list(recall(settings.releases))


def probe_versions(settings: ServiceSettings) -> Finding:
    """Compare what runs with the list: what has known holes fails, other updates are only named."""
    advice = _read_advice(settings)
    urgent = [part for part in advice if part.urgency is Urgency.SECURITY]
    if urgent:
        return failed(
            "; ".join(part.sentence for part in urgent),
            cause=_HOLES,
            next_step=" ".join(dict.fromkeys(part.next_step for part in urgent)),
        )
    return passed("; ".join(part.sentence for part in advice) or "there is no list yet")


def _read_advice(settings: ServiceSettings) -> tuple[PartAdvice, ...]:
    releases = recall(settings.releases).releases if settings.releases else None
    return advise(find_running(settings), releases) if releases else ()


def _judge_list(subscription: Subscription) -> Finding:
    """Fail only what never had a list: one that is not renewed breaks nothing, and is said."""
    releases, trouble = subscription.releases, describe_trouble(subscription, datetime.now(UTC))
    if releases is None and trouble is None:
        return passed("not looked up yet; the first time is a minute after the helper's start")
    if releases is None:
        return failed(
            str(trouble),
            cause="the address or file of `updates.list` has no list that one of the keys signed",
            next_step="see docs/updating.md; correct `updates`, or set `updates: {list: none}`",
        )
    return passed(f"{releases.title}; {trouble}" if trouble else releases.title)


def _judge_part(part: PartAdvice) -> Finding:
    if part.urgency is Urgency.SECURITY:
        return failed(part.sentence, cause=_HOLES, next_step=part.next_step)
    return passed(f"{part.sentence}. {part.next_step}" if part.next_step else part.sentence)

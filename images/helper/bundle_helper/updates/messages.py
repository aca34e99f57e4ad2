"""Which messages are due: a security update at once and once, its end, and a digest a week. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from .advice import PartAdvice, Urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .subscription import Subscription

_LIST: Final = "list of releases"
_A_WEEK: Final = timedelta(days=7)
# An address that cannot be reached for a day is no news on a laptop.
_PATIENCE: Final = timedelta(days=2)
_LONGEST: Final = 700


def list_messages(
    homeserver: str, subscription: Subscription, advice: Sequence[PartAdvice], now: datetime
) -> tuple[list[str], Subscription]:
    """Return the lines to send, and the subscription after they were."""
    said = dict(subscription.announced)
    lines, fresh = [], set()
    for part in advice:
        before = said.get(part.title)
        if part.urgency is Urgency.SECURITY and before != part.floor:
            said[part.title] = str(part.floor)
            fresh.add(part.title)
            lines.append(f"{part.sentence}. {part.next_step}")
        elif part.urgency in {Urgency.CURRENT, Urgency.AVAILABLE} and before is not None:
            del said[part.title]
            lines.append(f"{part.title}: the security update is installed")
    # A part that no longer runs is not a matter; one that is starting still is.
    titles = {_LIST, *(part.title for part in advice)}
    said = {title: text for title, text in said.items() if title in titles}
    lines += _speak_of_list(said, subscription, now)
    after = replace(subscription, announced=said)
    digest = [part for part in advice if _is_open(part) and part.title not in fresh]
    if _is_recent(subscription.digested, now):
        digest = []
    lines += [f"{part.sentence}. {part.next_step}" for part in digest]
    # What was just told is not told again tomorrow.
    if digest or fresh:
        after = replace(after, digested=now)
    return [f"{homeserver}: {line}"[:_LONGEST] for line in lines], after


def describe_trouble(subscription: Subscription, now: datetime) -> str | None:
    """Return what is wrong with the list, as a sentence, or None."""
    if subscription.trouble:
        return f"the list of releases was not renewed: {subscription.trouble}"
    releases = subscription.releases
    if releases is not None and now.date() > releases.expires:
        return f"the list of releases is old: {releases.title} was to be replaced by {releases.expires}"
    return None


def _speak_of_list(said: dict[str, str], subscription: Subscription, now: datetime) -> list[str]:
    """Return the line about the list itself, and note in `said` that it was said."""
    trouble, since = describe_trouble(subscription, now), subscription.troubled_since
    if trouble is None:
        return [f"{_LIST}: is renewed again"] if said.pop(_LIST, None) is not None else []
    if _LIST in said or (since is not None and timedelta(0) <= now - since < _PATIENCE):
        return []
    said[_LIST] = trouble
    return [f"{trouble}; this server may not be told of security releases"]


def _is_open(part: PartAdvice) -> bool:
    return part.urgency in {Urgency.AVAILABLE, Urgency.SECURITY}


def _is_recent(digested: datetime | None, now: datetime) -> bool:
    """Say whether there was a digest within a week; not if the clock was wrong then."""
    return digested is not None and timedelta(0) <= now - digested < _A_WEEK

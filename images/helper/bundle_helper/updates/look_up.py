"""The look-up of the list: once a day at an address, at each round in a file."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import HelperError
from .list_source import UnobtainableError, UnreachableError, fetch_list, read_list
from .release_list import InvalidListError, open_list, read_keys
from .subscription import Subscription, read_subscription, write_subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ..settings.release_settings import ReleaseSettings

# The hour wanders, so that no server asks at a time of its own, and not all at the full hour.
_SHORTEST_HOURS, _LONGEST_HOURS = 22.0, 26.0
# Nothing was sent: a laptop may have been offline.
_RETRY_HOURS: Final = 6.0
PINNED_KEYS: Final = Path(__file__).with_name("release_keys.pem")


def load_keys(settings: ReleaseSettings) -> tuple[Ed25519PublicKey, ...]:
    """Return the keys that sign lists for this server; HelperError if there is none."""
    file = settings.keys_file or PINNED_KEYS
    try:
        return read_keys(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise HelperError(
            f"{file} cannot be used: {reason}; `updates.key` names a PEM file made by"
            " `openssl pkey -pubout`"
        ) from error


def recall(settings: ReleaseSettings) -> Subscription:
    """Return what is remembered; HelperError if there is no usable key."""
    return read_subscription(settings.directory, str(settings.source), load_keys(settings))


def look_up(
    settings: ReleaseSettings, now: datetime, pick: Callable[[float, float], float] = random.uniform
) -> Subscription:
    """Look the list up if that is due, and return what is known then, remembered.

    HelperError if that cannot be written: without it the address is not asked, which would be asked
    again and again.
    """
    keys = load_keys(settings)
    known = read_subscription(settings.directory, str(settings.source), keys)
    source = settings.source
    if isinstance(source, Path):
        found = _try(known, partial(read_list, source), keys, now)
    elif not _is_due(known, now):
        return known
    else:
        pause = timedelta(hours=pick(_SHORTEST_HOURS, _LONGEST_HOURS))
        known = replace(known, asked=now, due=now + pause)
        write_subscription(settings.directory, known)
        found = _try(known, partial(fetch_list, source), keys, now)
    write_subscription(settings.directory, found)
    return found


def _try(
    known: Subscription,
    obtain: Callable[[], bytes],
    keys: tuple[Ed25519PublicKey, ...],
    now: datetime,
) -> Subscription:
    try:
        signed = obtain()
        return known.after_list(signed, open_list(signed, keys))
    except UnreachableError as error:
        soon = replace(known, due=now + timedelta(hours=_RETRY_HOURS))
        return soon.after_trouble(error.message, now)
    except (UnobtainableError, InvalidListError) as error:
        return known.after_trouble(error.message, now)


def _is_due(known: Subscription, now: datetime) -> bool:
    """Say whether to look up; at once if the clock was wrong at the last time."""
    if known.due is None or known.asked is None:
        return True
    return now >= known.due or known.asked > now

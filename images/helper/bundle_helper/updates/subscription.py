"""What is remembered of the list, in a volume over the years: itself, the look-ups, the messages.

The list is kept as it was signed and verified at each reading: nothing but a key that is trusted now
makes it count, and so a list of another key starts anew, whatever its serial number is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError
from .release_list import InvalidListError, ReleaseList, open_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_FILE: Final = "subscription.json"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """The newest list so far, why the last look-up brought none, and which messages were sent.

    `source` is the address or file of the look-ups with a digest of the keys, `asked` the last one and `due` the next; `announced`
    holds for each matter what was said of it, `digested` the moment of the last digest.
    """

    source: str = ""
    signed: bytes = b""
    releases: ReleaseList | None = None
    trouble: str | None = None
    troubled_since: datetime | None = None
    asked: datetime | None = None
    due: datetime | None = None
    announced: Mapping[str, str] = field(default_factory=dict)
    digested: datetime | None = None

    def after_trouble(self, trouble: str, now: datetime) -> Subscription:
        """Return the subscription after a look-up that brought no list, and why."""
        since = min(self.troubled_since or now, now)
        return replace(self, trouble=trouble, troubled_since=since)

    def after_list(self, signed: bytes, found: ReleaseList) -> Subscription:
        """Return the subscription with a list that was looked up; InvalidListError if it is older.

        Of one serial number there is one list: another one would show each reader its own.
        """
        known = self.releases
        if known is not None and found.serial < known.serial:
            raise InvalidListError(
                f"the list is an older one again: {found.title}, after {known.title}"
            )
        if known is not None and found.serial == known.serial and signed != self.signed:
            raise InvalidListError(f"there are two different lists {found.serial}")
        return replace(self, signed=signed, releases=found, trouble=None, troubled_since=None)


def read_subscription(
    directory: Path, source: str, keys: Sequence[Ed25519PublicKey]
) -> Subscription:
    """Return what is remembered of the lists that `keys` sign; with another source or key it is due at once."""
    digest = hashlib.sha256(b"".join(key.public_bytes_raw() for key in keys)).hexdigest()
    source = f"{source} {digest}"
    try:
        subscription = _parse(storage.read_json(directory / _FILE))
    except (HelperError, ValueError, LookupError, TypeError, AttributeError):
        return Subscription(source=source)
    try:
        releases = open_list(subscription.signed, keys)
    except InvalidListError:
        subscription = replace(subscription, signed=b"")
    else:
        subscription = replace(subscription, releases=releases)
    if subscription.source == source:
        return subscription
    return replace(subscription, source=source, due=None, trouble=None, troubled_since=None)


def write_subscription(directory: Path, subscription: Subscription) -> None:
    """Replace what is remembered; HelperError if it cannot be written."""
    content = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(subscription).items()
        if name != "releases"
    }
    signed = subscription.signed.decode("utf-8")
    content |= {"signed": signed, "announced": dict(subscription.announced)}
    storage.write_json(directory / _FILE, content, mode=0o600)


def _parse(content: Mapping[str, Any]) -> Subscription:
    trouble = content["trouble"]
    return Subscription(
        source=str(content["source"]),
        signed=content["signed"].encode("utf-8"),
        trouble=None if trouble is None else str(trouble),
        announced={str(name): str(said) for name, said in content["announced"].items()},
        troubled_since=_parse_moment(content["troubled_since"]),
        asked=_parse_moment(content["asked"]),
        due=_parse_moment(content["due"]),
        digested=_parse_moment(content["digested"]),
    )


def _parse_moment(text: str | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if text is not None else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment

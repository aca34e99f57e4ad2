"""Whether the bundle's authority can sign: its key, its certificate, and the clock."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from .. import RELEASED
from .file_names import AUTHORITY_CERTIFICATE, AUTHORITY_KEY

# A clock that is later than this is wrong.
_LATEST: Final = RELEASED + timedelta(days=100 * 365)
# RFC 5280, 4.1.2.5: two moments before 2050. The authority's certificate has no other such pair.
_VALIDITY: Final = re.compile(rb"\x30\x1e\x17\x0d(\d{12})Z\x17\x0d(\d{12})Z")
# RFC 5915: a P-256 key ends with its public point, which its certificate holds too.
_POINT_BYTES: Final = 65
_ANEW: Final = "to make a new one, which every device must then trust"


def find_faults(values: Mapping[str, str], now: datetime) -> Iterator[str]:
    """Yield what keeps the secrets from being, or from getting, an authority that can sign."""
    if AUTHORITY_CERTIFICATE not in values:
        yield from _find_creation_faults(values.get(AUTHORITY_KEY), now)
    elif AUTHORITY_KEY in values and not is_plainly_sound(
        values[AUTHORITY_KEY], values[AUTHORITY_CERTIFICATE], now
    ):
        yield from find_pair_faults(values[AUTHORITY_KEY], values[AUTHORITY_CERTIFICATE], now)


def _find_creation_faults(key: str | None, now: datetime) -> Iterator[str]:
    """Yield what keeps an authority from being made, with a key that exists or with a new one."""
    if not RELEASED <= now <= _LATEST:
        yield (
            f"{_describe_clock(now)}, and synapse-bundle is from {RELEASED:%Y-%m-%d}: set the clock,"
            " or the new certificates would not be valid"
        )
    if key is None:
        return
    # Imported here: importing it takes as long as a whole run.
    from . import authority

    try:
        authority.load_key(key)
    except ValueError as error:
        yield f"secrets/{AUTHORITY_KEY}: {error}; restore it from a backup, or delete it {_ANEW}"


def is_plainly_sound(key: str, certificate: str, now: datetime) -> bool:
    """Return whether a pair that this program made is surely intact and valid.

    Parsing both takes a third of a run that changes nothing; this takes no time. From 2050 on, and
    for an authority that is valid until then, it is False.
    """
    try:
        private, public = (
            base64.b64decode("".join(pem.splitlines()[1:-1]), validate=True)
            for pem in (key, certificate)
        )
    except ValueError:
        return False
    validity = _VALIDITY.search(public)
    if not validity or private[-_POINT_BYTES:] not in public:
        return False
    start, end = (f"20{moment.decode()}" for moment in validity.groups())
    return start <= f"{now:%Y%m%d%H%M%S}" < end


def find_pair_faults(key: str, certificate: str, now: datetime) -> Iterator[str]:
    """Yield what keeps a key and a certificate that exist from being an authority that can sign."""
    from . import authority

    restore = (
        f"restore both from a backup, or delete {AUTHORITY_KEY} and {AUTHORITY_CERTIFICATE} {_ANEW}"
    )
    try:
        private = authority.load_key(key)
    except ValueError as error:
        yield f"secrets/{AUTHORITY_KEY}: {error}; {restore}"
        return
    try:
        public = authority.load_certificate(certificate)
    except ValueError as error:
        yield f"secrets/{AUTHORITY_CERTIFICATE}: {error}; {restore}"
        return
    start, end = public.not_valid_before_utc, public.not_valid_after_utc
    if private.public_key() != public.public_key():
        yield f"secrets/{AUTHORITY_KEY} is not the key of secrets/{AUTHORITY_CERTIFICATE}; {restore}"
    elif not start <= now < end:
        yield (
            f"secrets/{AUTHORITY_CERTIFICATE} is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, and"
            f" {_describe_clock(now)}: set the clock, or if it is right delete {AUTHORITY_CERTIFICATE} {_ANEW}"
        )


def _describe_clock(now: datetime) -> str:
    """Return the date by this machine's clock."""
    return f"this machine's clock says {now.astimezone(UTC):%Y-%m-%d}"

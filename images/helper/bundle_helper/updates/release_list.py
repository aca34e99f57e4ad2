"""The signed list of releases: what it says, and whether that was signed with a key we know.

Its first line is an Ed25519 signature (RFC 8032) in base64, of every byte after that line; those are one
JSON object. docs/updating.md shows how openssl verifies it.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ..errors import HelperError
from .version_numbers import parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes. With TLS and headers a look-up stays below 20 kB.
LARGEST: Final = 10_240
FORMAT: Final = 1
_SIGNATURE_BYTES: Final = 64
_HIGHEST_SERIAL: Final = 2**53
_LONGEST_ADVICE: Final = 400
_PART_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")
_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----\n.+?-----END PUBLIC KEY-----", re.DOTALL)


class InvalidListError(HelperError):
    """A list that says nothing: forged, malformed, too large, or of a newer format."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release; `day` is YYYY-MM-DD, or YYYY-MM where only the month is known."""

    version: str
    day: str
    security: bool


@dataclass(frozen=True, kw_only=True)
class PartReleases:
    """The releases of one part, the newest first.

    `floor` is the oldest version that is still safe, None where none is known to be unsafe; `advice` is
    the sentence that says what to do.
    """

    releases: tuple[Release, ...]
    floor: str | None
    advice: str


@dataclass(frozen=True, kw_only=True)
class ReleaseList:
    """A list whose signature holds. A later one has a higher serial number."""

    serial: int
    issued: date
    expires: date
    parts: dict[str, PartReleases]

    @property
    def title(self) -> str:
        """What people call it."""
        return f"list {self.serial} of {self.issued}"


def read_keys(text: bytes) -> tuple[Ed25519PublicKey, ...]:
    """Return the Ed25519 keys of a PEM file; ValueError if it holds anything else, or nothing."""
    keys = []
    for block in _PEM.findall(text):
        key = load_pem_public_key(block)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("a key in it is not an Ed25519 key")  # noqa: TRY004 (no argument's type)
        keys.append(key)
    if not keys:
        raise ValueError("it holds no public key in PEM form")
    return tuple(keys)


def open_list(data: bytes, keys: Sequence[Ed25519PublicKey]) -> ReleaseList:
    """Return the list in `data` if one of `keys` has signed it; InvalidListError otherwise."""
    if len(data) > LARGEST:
        raise InvalidListError(f"the list has more than {LARGEST} bytes")
    line, _, signed = data.partition(b"\n")
    try:
        signature = base64.b64decode(line, validate=True)
    except ValueError:
        signature = b""
    # Base64 has several spellings for the same bytes; a signer writes one of them.
    if len(signature) != _SIGNATURE_BYTES or base64.b64encode(signature) != line:
        raise InvalidListError("it is not a list of releases: its first line is not a signature")
    if not any(_verifies(key, signature, signed) for key in keys):
        raise InvalidListError("the list is forged or damaged: no key that is trusted signed it")
    try:
        return _parse(json.loads(signed.decode("utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidListError(f"the list is signed, but malformed: {error}") from error


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _parse(content: dict[str, Any]) -> ReleaseList:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}; a newer synapse-bundle reads it")
    serial = content["serial"]
    if type(serial) is not int or not 1 <= serial <= _HIGHEST_SERIAL:
        raise ValueError(f"{serial!r} is not a serial number")
    return ReleaseList(
        serial=serial,
        issued=date.fromisoformat(content["issued"]),
        expires=date.fromisoformat(content["expires"]),
        parts={_check_part_name(name): parse_part(part) for name, part in content["parts"].items()},
    )


def _check_part_name(name: str) -> str:
    if not _PART_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a part")
    return name


def parse_part(content: dict[str, Any]) -> PartReleases:
    """Return a part's releases; ValueError, LookupError or TypeError if they make no sense."""
    releases = [_parse_release(release) for release in content["releases"]]
    if not releases:
        raise ValueError("a part has no release")
    releases.sort(key=lambda release: parse_version(release.version), reverse=True)
    floor, advice = content.get("floor"), content["advice"]
    if floor is not None and floor not in {release.version for release in releases}:
        raise ValueError(f"the floor {floor!r} is not among the releases")
    if not isinstance(advice, str) or not advice.isprintable() or len(advice) > _LONGEST_ADVICE:
        raise ValueError(f"advice is one line of at most {_LONGEST_ADVICE} characters")
    return PartReleases(releases=tuple(releases), floor=floor, advice=advice)


def _parse_release(content: dict[str, Any]) -> Release:
    version, day, security = content["version"], content["date"], content["security"]
    parse_version(version)
    if not _DAY.fullmatch(day):
        raise ValueError(f"{day!r} is neither a day nor a month")
    if type(security) is not bool:
        raise ValueError(f"{security!r} is neither true nor false")
    return Release(version=version, day=day, security=security)

"""The server's signing keys: the one that signs, and the public halves of those that did.

A signing key is a line of Synapse's, `ed25519 VERSION SEED`; base64 is unpadded (Matrix specification,
appendices).
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_OLD: Final = re.compile(r"(ed25519:[A-Za-z0-9_]+) ([A-Za-z0-9+/]{43}) ([0-9]{1,15})")


@dataclass(frozen=True, kw_only=True)
class ExpiredKey:
    """The public half of a key, and when it expired: milliseconds since 1970, as Matrix has it."""

    id: str
    public: str
    expired: int


def make() -> str:
    """Return a signing key with a random version as Synapse gives it."""
    version = "".join(secrets.choice(string.ascii_letters) for _ in range(4))
    return f"ed25519 a_{version} {encode_base64(secrets.token_bytes(32))}"


def check(value: str) -> str:
    """Return what is wrong with a signing key, or an empty string."""
    match = re.fullmatch(r"ed25519 [A-Za-z0-9_]+ ([A-Za-z0-9+/]{43})", value)
    return (
        "" if match else "is not a signing key (`ed25519 VERSION SEED`); restore it from a backup"
    )


def derive_verify_key(signing_key: str) -> str:
    """Return the public half of a signing key, as `ed25519:VERSION BASE64`."""
    # Imported here: `init` and `--help` need no cryptography.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    _, version, seed = signing_key.split()
    key = Ed25519PrivateKey.from_private_bytes(decode_base64(seed)).public_key()
    return f"ed25519:{version} {encode_base64(key.public_bytes_raw())}"


def expire(signing_key: str, moment: datetime) -> ExpiredKey:
    """Return what other servers need of a key that signs nothing after a moment."""
    identity, public = derive_verify_key(signing_key).split()
    return ExpiredKey(id=identity, public=public, expired=int(moment.timestamp() * 1000))


def check_old(value: str) -> str:
    """Return what is wrong with a list of old keys, or an empty string."""
    if all(_OLD.fullmatch(line) for line in value.splitlines()):
        return ""
    return "has a line that is not `ed25519:VERSION PUBLIC_KEY MILLISECONDS`; correct it"


def read_old(value: str) -> list[ExpiredKey]:
    """Return the old keys of a list."""
    matches = filter(None, map(_OLD.fullmatch, value.splitlines()))
    return [ExpiredKey(id=m[1], public=m[2], expired=int(m[3])) for m in matches]


def write_old(keys: Iterable[ExpiredKey]) -> str:
    """Return a list of old keys, each once: the last of an id counts."""
    known = {key.id: key for key in keys}
    return "\n".join(f"{key.id} {key.public} {key.expired}" for key in known.values())


def encode_base64(data: bytes) -> str:
    """Encode as unpadded base64."""
    return base64.b64encode(data).decode().rstrip("=")


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64."""
    return base64.b64decode(text + "=" * (-len(text) % 4))

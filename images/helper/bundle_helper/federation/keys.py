"""The keys a server publishes, and whether it really holds them.

https://spec.matrix.org/latest/server-server-api/#publishing-keys
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from signedjson.key import decode_verify_key_bytes
from signedjson.sign import verify_signed_json
from unpaddedbase64 import decode_base64

from .names import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TARGET: Final = "/_matrix/key/v2/server"
_ALGORITHM: Final = "ed25519:"
_KEY_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Key:
    """A published key, as bytes if it is one at all, and whether it signed the document."""

    public: bytes | None
    has_signed: bool


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A document of published keys; `asked` is the server name whose keys they should be.

    `valid_until` is in milliseconds since 1970, as in the document, if it is a number there.
    """

    asked: str
    server_name: str
    valid_until: int | None
    is_current: bool
    ed25519: Mapping[str, Key]

    @property
    def problems(self) -> tuple[str, ...]:
        """What other servers do not accept, one sentence each."""
        return tuple(self._find_problems())

    def _find_problems(self) -> Iterable[str]:
        if self.server_name != self.asked:
            yield f"the keys are for {shown(self.server_name)}, not for {self.asked}"
        if self.valid_until is None:
            yield "the keys lack valid_until_ts"
        elif not self.is_current:
            yield f"the keys have expired (valid_until_ts is {shown(str(self.valid_until))})"
        if not self.ed25519:
            yield "there is no ed25519 key"
        for key_id, key in self.ed25519.items():
            if key.public is None:
                yield f"{shown(key_id)} is not an ed25519 key of {_KEY_BYTES} bytes"
            elif not key.has_signed:
                yield f"the signature by {shown(key_id)} is missing or wrong"


def read_keys(document: dict[str, Any], asked: str, now: float) -> Keys:
    """Return what a document says and proves about its keys; `now` is in seconds since 1970."""
    claimed, valid_until = document.get("server_name"), document.get("valid_until_ts")
    claimed = claimed if isinstance(claimed, str) else ""
    # To Python a truth value is a number.
    valid_until = valid_until if type(valid_until) is int else None
    return Keys(
        asked=asked,
        server_name=claimed,
        valid_until=valid_until,
        is_current=valid_until is not None and valid_until > now * 1000,
        ed25519={
            key_id: _read_key(document, claimed, key_id, entry)
            for key_id, entry in _mapping(document, "verify_keys").items()
            if key_id.startswith(_ALGORITHM)
        },
    )


def _read_key(document: dict[str, Any], signer: str, key_id: str, entry: object) -> Key:
    public = _decode(entry.get("key")) if isinstance(entry, dict) else None
    if public is None or len(public) != _KEY_BYTES:
        return Key(public=None, has_signed=False)
    return Key(public=public, has_signed=_has_signed(document, signer, key_id, public))


def _has_signed(document: dict[str, Any], signer: str, key_id: str, public: bytes) -> bool:
    signature = _mapping(_mapping(document, "signatures"), signer).get(key_id)
    if not isinstance(signature, str):
        return False
    try:
        verify_signed_json(document, signer, decode_verify_key_bytes(key_id, public))
    except Exception:  # noqa: BLE001 (what the library cannot read was not signed)
        return False
    return True


def _mapping(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _decode(text: object) -> bytes | None:
    try:
        return bytes(decode_base64(text)) if isinstance(text, str) else None
    except ValueError:
        return None

"""The `updates` block of the settings: who tells this server of releases."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic import ValidationInfo as Info

from .backup import TimeOfDay
from .block import Block
from .names import FileName

_NONE: Final = "none"
# The helper has the same limits; tests/bundle/test_contract.py compares them.
_ADDRESS: Final = re.compile(
    r"https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[!-~]*)?"
)
_HIGHEST_PORT: Final = 65535


def _is_address(text: str) -> bool:
    return text.startswith(("https:", "http:"))


def _check_place(value: Any) -> Any:
    """Return the address or the file of a list, None for the word `none`."""
    if not isinstance(value, str) or value == _NONE:
        return None if value == _NONE else value
    if not _is_address(value):
        return value
    match = _ADDRESS.fullmatch(value)
    if not match or not 1 <= int((match[2] or ":443")[1:]) <= _HIGHEST_PORT:
        raise ValueError("is not an address; use for example https://example.org/releases.signed")
    if "?" in value or "#" in value:
        raise ValueError("has a query or fragment, which could tell servers apart; remove it")
    return value


ListPlace = Annotated[FileName | None, BeforeValidator(_check_place)]


class UpdateSettings(Block):
    """Where the signed list of releases comes from, and whose key signs it.

    Without `key` it is one of the keys in the helper's image. `automatic` is what `update --automatic` may
    install by itself, in the hour that begins at `at` (UTC).
    """

    list: ListPlace = None
    key: FileName | None = None
    automatic: Literal["none", "security"] = "none"
    at: Annotated[TimeOfDay | None, Field(validate_default=True)] = None

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str | None, info: Info) -> str | None:
        if key and info.data.get("list", key) is None:
            raise ValueError("signs a list, and there is none; set updates.list")
        return key

    @field_validator("automatic")
    @classmethod
    def _check_automatic(cls, automatic: str, info: Info) -> str:
        if automatic != "none" and info.data.get("list", automatic) is None:
            raise ValueError("follows a list of releases, and there is none; set updates.list")
        return automatic

    @field_validator("at")
    @classmethod
    def _check_at(cls, at: str | None, info: Info) -> str | None:
        automatic = info.data.get("automatic")
        if automatic == "security" and at is None:
            raise ValueError('needs a time of day with `automatic`; use for example "04:00" (UTC)')
        if automatic == "none" and at is not None:
            raise ValueError("is when `automatic: security` updates; without that remove it")
        return at

    @property
    def address(self) -> str | None:
        """The address of the list, if it is looked up."""
        return self.list if self.list and _is_address(self.list) else None

    @property
    def file(self) -> str | None:
        """The file with the list, if it is not looked up."""
        return self.list if self.list and not _is_address(self.list) else None

"""The `updates` block of the settings: who tells this server of releases."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, field_validator
from pydantic import ValidationInfo as Info

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

    Without `key` it is one of the keys in the helper's image.
    """

    list: ListPlace = None
    key: FileName | None = None

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str | None, info: Info) -> str | None:
        if key and info.data.get("list", key) is None:
            raise ValueError("signs a list, and there is none; set updates.list")
        return key

    @property
    def address(self) -> str | None:
        """The address of the list, if it is looked up."""
        return self.list if self.list and _is_address(self.list) else None

    @property
    def file(self) -> str | None:
        """The file with the list, if it is not looked up."""
        return self.list if self.list and not _is_address(self.list) else None

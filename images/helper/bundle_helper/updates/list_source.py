"""Where the list comes from: an address, asked without anything that identifies, or a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ..concurrency import run_all
from ..errors import HelperError
from ..exchange import ask_url
from .release_list import LARGEST

if TYPE_CHECKING:
    from pathlib import Path

    from ..exchange import Answer

_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
# Seconds for all of it: a server that sends a byte now and then would never time out.
_PATIENCE: Final = 30.0
# Always the same: neither a version nor anything of this server.
_HEADERS: Final = {"User-Agent": "synapse-bundle"}


class UnobtainableError(HelperError):
    """There was no list."""


class UnreachableError(UnobtainableError):
    """There was no answer at all, which may be different in some hours."""


def fetch_list(url: str, patience: float = _PATIENCE) -> bytes:
    """Return what the address answers with, one byte more than a list may have at most.

    Redirects are not followed: who asks which address is the operator's choice.
    """
    call = partial(ask_url, url, headers=_HEADERS, longest=LARGEST + 1)
    (answer,) = run_all([call], patience)
    if isinstance(answer, TimeoutError):
        raise UnreachableError(f"no whole answer within {patience:.0f} s")
    if isinstance(answer, HelperError):
        raise UnreachableError(answer.message)
    if isinstance(answer, Exception):
        raise UnreachableError(f"no answer ({type(answer).__name__})")
    return _read_answer(answer)


def _read_answer(answer: Answer) -> bytes:
    if answer.status in _REDIRECTS:
        raise UnobtainableError(
            f"the address answers with {answer.status}, a redirect, which is not followed: set"
            " `updates.list` to where it leads if you trust that"
        )
    if answer.status != _OK:
        raise UnobtainableError(f"the address answers with {answer.status}")
    return answer.body


def read_list(file: Path) -> bytes:
    """Return the content of the file, one byte more than a list may have at most."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise UnobtainableError(f"{file} cannot be read ({error.strerror})") from error

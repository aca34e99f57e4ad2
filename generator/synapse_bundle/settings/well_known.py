"""What the settings say about /.well-known/matrix/: the contacts, and the Worker that answers there."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from .block import Block

# YAML can escape a lone surrogate, but no file can hold one.
_PART: Final = r"[^\s@\x00-\x1f\x7f\ud800-\udfff]+"


def _check_email(text: str) -> str:
    if not re.fullmatch(rf"{_PART}@{_PART}\.{_PART}", text):
        raise ValueError("is not an email address; use for example you@example.org")
    return text


def _check_matrix_id(text: str) -> str:
    if not re.fullmatch(r"@[!-9;-~]+:[A-Za-z0-9.:\[\]-]+", text):
        raise ValueError("is not a Matrix user ID; use for example @you:example.org")
    return text


def _check_page(text: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise ValueError("is not a web address; use for example https://example.org/contact")
    return text


Email = Annotated[str, AfterValidator(_check_email)]


class SupportSettings(Block):
    """Contacts for the server, published at /.well-known/matrix/support."""

    email_address: Email | None = None
    matrix_id: Annotated[str, AfterValidator(_check_matrix_id)] | None = None
    page: Annotated[str, AfterValidator(_check_page)] | None = None


class WorkerSettings(Block):
    """The Cloudflare Worker that answers /.well-known/matrix/ at the server name."""

    other_paths: Literal["not-found", "pass-through"] = "not-found"

"""Secrets that are given to one run: from a hidden prompt or standard input, never an argument."""

from __future__ import annotations

import sys
from typing import Final

import click

from .errors import SettingsError

# Characters; longer than any token or credentials file.
_LONGEST_SECRET: Final = 4096


def read_secret(title: str) -> str:
    """Return a secret: from a hidden prompt at a terminal, else from standard input.

    Raises SettingsError where that is closed or holds no text.
    """
    # None if the descriptor was closed before Python started; typeshed does not know.
    if not sys.stdin:
        raise SettingsError(f"{title}: standard input is closed; use a terminal, or < FILE")
    if sys.stdin.isatty():
        return str(click.prompt(title, hide_input=True)).strip()
    try:
        return sys.stdin.read(_LONGEST_SECRET).strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{title}: standard input is not text") from None

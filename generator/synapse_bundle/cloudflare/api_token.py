"""Where the API token comes from: a file, standard input, the environment, or a hidden prompt."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from ..credentials import provided
from ..errors import SettingsError

VARIABLE: Final = "CLOUDFLARE_API_TOKEN"
_STANDARD_INPUT: Final = Path("-")
_LONGEST: Final = 1024


def read_token(file: Path | None) -> str:
    """Return the token from a file, the environment, or a hidden prompt; never from an argument.

    Raises SettingsError for what cannot be one, without showing it.
    """
    if file == _STANDARD_INPUT:
        if not sys.stdin:
            raise SettingsError("The token: standard input is closed; pass a file")
        try:
            return _require_token(sys.stdin.readline(_LONGEST))
        except UnicodeDecodeError:
            raise SettingsError("The token: standard input is not text") from None
    if file:
        return read_token_file(file)
    if VARIABLE in os.environ:
        return _require_token(os.environ[VARIABLE])
    if sys.stdin and sys.stdin.isatty():
        return ask_token("Cloudflare API token")
    raise SettingsError(f"There is no token: set {VARIABLE}, or pass --token-file FILE")


def ask_token(title: str) -> str:
    """Return a token that is typed unseen; raises SettingsError for what cannot be one."""
    return _require_token(str(click.prompt(title, hide_input=True)))


def read_token_file(file: Path) -> str:
    """Return the token in a file; raises SettingsError if it cannot be read or cannot be one."""
    try:
        with file.open(encoding="utf-8") as opened:
            return _require_token(opened.read(_LONGEST))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"{file}: {reason}") from error


def _require_token(text: str) -> str:
    """Return a token without the space around it; raises SettingsError for what cannot be one."""
    fault = provided.check_dns_token(text.strip())
    if fault:
        raise SettingsError(f"The token {fault}")
    return text.strip()

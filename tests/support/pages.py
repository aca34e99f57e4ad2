"""The commands that a page of docs/ has, as a person would type them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Final

_PAGES: Final = Path(__file__).resolve().parents[2] / "docs"
# Settings begin with a key, and what is below it is indented further.
_COMMAND: Final = re.compile(r"(?m)^    (?!\w+:)(\S.*)$")
_SETTINGS: Final = re.compile(r"(?m)^    \w+:\n(?:     +.+\n)+")
_IN_TEXT: Final = re.compile(r"`((?:docker compose|make|synapse-bundle|sudo|cd) [^`]+)`")


def list_headings(page: str) -> list[str]:
    """Return the headings of a page's sections."""
    return re.findall(r"(?m)^## (.+)$", _read(page))


def read_settings(page: str) -> str:
    """Return the first block of a page that is settings."""
    found = _SETTINGS.search(_read(page))
    assert found
    return textwrap.dedent(found[0])


def read_block(page: str, heading: str = "") -> list[str]:
    """Return the commands of a section's indented blocks; without a heading, of what is above all."""
    return _COMMAND.findall(_read_section(page, heading))


def read_commands(page: str, heading: str = "") -> list[str]:
    """Return every command of a section, each once: those of its blocks, then those in its text.

    A comment of a block may hold another form of its command: `# make X`, `# in a checkout: make X`.
    """
    commands = []
    for line in read_block(page, heading):
        command, _, comment = line.partition("#")
        commands.append(command.strip())
        commands += re.findall(r"\bmake [^,]+", comment)
    text = _COMMAND.sub("", _read_section(page, heading))
    commands += (" ".join(command.split()) for command in _IN_TEXT.findall(text))
    return list(dict.fromkeys(commands))


def _read(page: str) -> str:
    return (_PAGES / page).read_text()


def _read_section(page: str, heading: str) -> str:
    first, *sections = re.split(r"(?m)^## ", _read(page))
    if not heading:
        return first
    return next(part for part in sections if part.startswith(f"{heading}\n"))

"""Update generator/synapse_bundle/images.toml: record the digest that each tag has now.

`make images` runs it; `bin/update_images.py synapse=v1.164.0` moves a tag. Needs Docker and a registry.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import tomlkit

from synapse_bundle.errors import BundleError, SettingsError
from synapse_bundle.images import PINS, read_pins, refuse_denied

# The grammar of a reference (distribution/reference).
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def main(arguments: list[str]) -> int:
    """Update the named images, or all of them; return the exit code."""
    try:
        wanted = parse(arguments)
        update({name: (tag, read_digest(name, tag)) for name, tag in wanted.items()})
    except click.ClickException as error:
        error.show()
        return error.exit_code
    for name, pin in read_pins().items():
        print(f"{name:<12} {pin.reference:<36} {pin.digest or 'digest not recorded'}")
    return 0


def parse(moves: Iterable[str], path: Path = PINS) -> dict[str, str]:
    """Return tags by name from `NAME=TAG` words, and those in use where there are no words.

    Raises SettingsError that lists every bad word.
    """
    pins = read_pins(path)
    problems, wanted = [], {}
    for move in moves:
        name, _, tag = move.partition("=")
        if name not in pins:
            problems.append(f"{name!r} is not an image; the images are: {', '.join(pins)}")
        elif not TAG.fullmatch(tag):
            problems.append(f"{move!r} names no tag; use for example {name}={pins[name].tag}")
        wanted[name] = tag
    if problems:
        raise SettingsError("The pins cannot be moved; nothing was changed.", problems)
    return wanted or {name: pin.tag for name, pin in pins.items()}


def read_digest(name: str, tag: str) -> str:
    """Return the digest that a registry has for a tag; raises BundleError where it has none."""
    reference = replace(read_pins()[name], tag=tag).reference
    command = ["docker", "buildx", "imagetools", "inspect", reference]
    try:
        answer = subprocess.run(
            [*command, "--format", "{{.Manifest.Digest}}"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BundleError("Docker is not installed here.") from None
    if answer.returncode:
        raise BundleError(f"{reference}: {answer.stderr.strip() or 'no answer'}")
    return answer.stdout.strip()


def update(moves: Mapping[str, tuple[str, str]], path: Path = PINS) -> None:
    """Write new tags and digests, by name, into the data file: all of them or none.

    Raises BundleError for a refused pin.
    """
    pins = read_pins(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    for name, (tag, digest) in moves.items():
        if not TAG.fullmatch(tag) or not DIGEST.fullmatch(digest):
            raise BundleError(f"{path.name}: {name}: {tag!r} with {digest!r} is not a pin")
        refuse_denied(name, replace(pins[name], tag=tag))
        today = f"{datetime.now(UTC).date()}"
        document[name].update({"tag": tag, "digest": digest, "recorded": today})
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

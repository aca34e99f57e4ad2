"""Third-party images: reads images.toml, refuses known bad versions, moves pins."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .errors import BundleError, SettingsError

PINS: Final = Path(__file__).with_name("images.toml")
# Their data may not open with an older version.
STATEFUL: Final = ("postgres", "synapse")
# The grammar of a reference (distribution/reference); neither can hold a quote.
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One image: its name, the tag in use, and the digest that tag had when it was recorded.

    `recorded` is that day, as YYYY-MM-DD.
    """

    image: str
    tag: str
    recorded: str
    digest: str = ""
    floor: str = ""
    denied: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The image as compose.yaml names it.

        By tag, not by digest: `docker load` loses digests, and a bundle must start offline.
        """
        return f"{self.image}:{self.tag}"


def read_pins(path: Path = PINS) -> dict[str, Pin]:
    """Return all pins by service; raises BundleError where one is denied."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        pins = {
            name: Pin(**{**entry, "denied": tuple(entry.get("denied", ()))})
            for name, entry in document.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} cannot be used: {error}; install synapse-bundle anew") from error
    for name, pin in pins.items():
        refuse_denied(name, pin)
    return pins


def refuse_denied(name: str, pin: Pin) -> None:
    """Raise BundleError for a version that is known to break or endanger a server."""
    if pin.tag in pin.denied:
        raise BundleError(f"{path_of(name)}: {pin.reference} is denied; take another version")
    if pin.floor and version_of(pin.tag) < version_of(pin.floor):
        raise BundleError(
            f"{path_of(name)}: {pin.reference} is older than {pin.floor}, the oldest safe one"
        )


def compare_digests(pin: Pin, held: set[str]) -> str:
    """Say how the digests that an engine has for an image differ from its pin, or nothing."""
    if pin.digest in held:
        return ""
    if not held:
        return (
            f"{pin.reference}: the engine knows no digest of it (built or loaded here, not pulled)"
        )
    found = ", ".join(sorted(held))
    if not pin.digest:
        return f"{pin.reference} is {found}; {PINS.name} records no digest to compare it with"
    return (
        f"{pin.reference} is {found}, not {pin.digest} as on {pin.recorded}: the tag has been moved"
        " since, or this is another image"
    )


def path_of(name: str) -> str:
    """Name the place in the data file, for messages."""
    return f"{PINS.name}: {name}"


def version_of(tag: str) -> tuple[int, ...]:
    """Return the numbers of a version tag, for comparison."""
    return tuple(int(number) for number in re.findall(r"\d+", tag))


def parse_moves(moves: Iterable[str], path: Path = PINS) -> dict[str, str]:
    """Return the tags by name of `NAME=TAG` words; raises SettingsError that lists every bad one."""
    pins = read_pins(path)
    problems, wanted = [], {}
    for move in moves:
        name, _, tag = move.partition("=")
        if name not in pins:
            problems.append(f"{name!r} is no image; there are: {', '.join(pins)}")
        elif not TAG.fullmatch(tag):
            problems.append(f"{move!r} names no tag; write one such as {name}={pins[name].tag}")
        wanted[name] = tag
    if problems:
        raise SettingsError("The pins cannot be moved; nothing was changed.", problems)
    return wanted


def move(moves: Mapping[str, tuple[str, str]], path: Path = PINS) -> None:
    """Write new tags and digests, by name, into the data file: all of them or none.

    Raises BundleError where one is refused or the file cannot be written.
    """
    pins = read_pins(path)
    today = datetime.now(UTC).date()
    text = path.read_text(encoding="utf-8")
    for name, (tag, digest) in moves.items():
        if not TAG.fullmatch(tag) or not DIGEST.fullmatch(digest):
            raise BundleError(f"{path_of(name)}: {tag!r} with {digest!r} is no tag with its digest")
        refuse_denied(name, replace(pins[name], tag=tag))
        head, section, tail = split_section(text, name)
        section = re.sub(r'(?m)^tag = ".*"$', f'tag = "{tag}"', section)
        section = re.sub(r'(?m)^digest = ".*"$', f'digest = "{digest}"', section)
        section = re.sub(r'(?m)^recorded = ".*"$', f'recorded = "{today}"', section)
        text = head + section + tail
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror}), so no pin was moved;"
            " run this as the user who installed synapse-bundle, or in a checkout of its own"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)


def split_section(text: str, name: str) -> tuple[str, str, str]:
    """Return what is before, in and after one section, so that comments survive a move."""
    start = text.index(f"[{name}]\n")
    end = text.find("\n[", start)
    end = len(text) if end < 0 else end
    return text[:start], text[start:end], text[end:]

"""Third-party images: images.toml, and the versions in it that are refused."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import BundleError

PINS: Final = Path(__file__).with_name("images.toml")
_POSTGRES: Final = "postgres"
# Their data may not open with an older version.
STATEFUL: Final = ("postgres", "synapse")


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

    @property
    def major(self) -> int:
        """The first number of the tag."""
        return version_of(self.tag)[0]


def read_pins(path: Path = PINS) -> dict[str, Pin]:
    """Return all pins by service; raises BundleError where one is denied."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        pins = {
            name: Pin(**{**entry, "denied": tuple(entry.get("denied", ()))})
            for name, entry in document.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} cannot be used: {error}; reinstall synapse-bundle") from error
    for name, pin in pins.items():
        refuse_denied(name, pin)
    return pins


def choose_pins(postgres: int) -> dict[str, Pin]:
    """Return the pins of one bundle, with this major version of PostgreSQL or, for 0, with that of a new one.

    Another one that is supported is called `postgres-17`, say.
    """
    majors, pins = list_majors(), read_pins()
    others = {name: pin for name, pin in pins.items() if pin not in majors.values()}
    return {_POSTGRES: majors.get(postgres, pins[_POSTGRES])} | others


def list_majors() -> dict[int, Pin]:
    """Return the pins of PostgreSQL by its major versions that are supported."""
    found = [pin for name, pin in read_pins().items() if name.partition("-")[0] == _POSTGRES]
    return {pin.major: pin for pin in found}


def refuse_denied(name: str, pin: Pin) -> None:
    """Raise BundleError for a version that is known to break a server or to be insecure."""
    if pin.tag in pin.denied:
        raise BundleError(f"{_path_of(name)}: {pin.reference} is denied; use another version")
    if pin.floor and version_of(pin.tag) < version_of(pin.floor):
        raise BundleError(
            f"{_path_of(name)}: {pin.reference} is older than {pin.floor}, the oldest safe one"
        )


def compare_digests(pin: Pin, held: set[str]) -> str:
    """Return how an engine's digests of an image differ from its pin, or an empty string."""
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


def _path_of(name: str) -> str:
    """Name the place in the data file, for messages."""
    return f"{PINS.name}: {name}"


def version_of(tag: str) -> tuple[int, ...]:
    """Return the numbers of a version tag, for comparison."""
    return tuple(int(number) for number in re.findall(r"\d+", tag))

"""The machine's own Debian mirror, and what its apt says about it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.steps import LabError

SUITE: Final = "trixie"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The addresses of the Debian archive and of its security archive."""

    archive: str
    security: str

    def list_sources(self) -> list[str]:
        """Return the apt lines of SUITE as Debian's own image has them."""
        option = f"deb [signed-by={KEYRING}]"
        return [
            f"{option} {self.archive} {SUITE} main",
            f"{option} {self.archive} {SUITE}-updates main",
            f"{option} {self.security} {SUITE}-security main",
        ]

    def list_source_packages(self, suite: str) -> list[str]:
        """Return the apt lines of a suite's packages, with what they were built from."""
        option = f"[signed-by={KEYRING}]"
        return [f"{kind} {option} {self.archive} {suite} main" for kind in ("deb", "deb-src")]


def read_stanzas(text: str) -> Iterator[tuple[str, str]]:
    """Yield (address, suite) of each entry of a deb822 sources file."""
    for block in text.split("\n\n"):
        pairs = [line.split(":", 1) for line in block.splitlines() if line[:1].isalpha()]
        field = {pair[0].lower(): pair[1].split() for pair in pairs if len(pair) > 1}
        if "deb" in field.get("types", []):
            for address in field.get("uris", []):
                yield from ((address, suite) for suite in field.get("suites", []))


def read_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (address, suite) of each line of a one-line-style sources file."""
    for line in text.splitlines():
        head, _, rest = line.strip().partition(" ")
        if head != "deb":
            continue
        if rest.lstrip().startswith("["):
            rest = rest.partition("]")[2]
        words = rest.split()
        if len(words) > 1:
            yield words[0], words[1]


def read_sources(folder: Path) -> dict[str, str]:
    """Return the first address for each suite that apt on this machine knows."""
    entries: list[tuple[str, str]] = []
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        entries += read_stanzas(path.read_text())
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        if path.is_file():
            entries += read_lines(path.read_text())
    return {suite: address for address, suite in reversed(entries)}


def find_mirror(folder: Path = Path("/etc/apt")) -> Mirror:
    """Return the mirror this machine installs from.

    Raises LabError where the machine is not a Debian with both archives configured.
    """
    release = platform.freedesktop_os_release()
    codename = release.get("VERSION_CODENAME", "")
    known = read_sources(folder)
    archive, security = known.get(codename), known.get(f"{codename}-security")
    if release.get("ID") != "debian" or archive is None or security is None:
        raise LabError(
            f"the lab needs Debian with its archive and its security archive in {folder}; "
            f"this is {release.get('PRETTY_NAME', 'something else')}. "
            "Start a Docker Engine of your own instead."
        )
    return Mirror(archive=archive, security=security)

"""Which requests Cloudflare gives to a Worker: a model of its route patterns.

Source: "Matching behavior" and "Validity" of Cloudflare's documentation of Workers routes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PATTERN: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\*?[^/*?:]+)(?P<path>/[^*?]*\*?)?"
)
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/:?#]+)(?P<rest>[^#]*)")


@dataclass(frozen=True, kw_only=True)
class Route:
    """A pattern in its parts; without a scheme it is for both."""

    scheme: str | None
    host: str
    path: str

    def matches(self, url: str) -> bool:
        """Return whether a request for the URL is the Worker's.

        The host is compared without regard to case, path and query together and to the letter.
        """
        parts = _URL.fullmatch(url)
        assert parts, url
        rest = parts["rest"] if parts["rest"].startswith("/") else f"/{parts['rest']}"
        return (
            self.scheme in {None, parts["scheme"]}
            and _fits(self.host.lower(), parts["host"].lower())
            and _fits(self.path, rest)
        )


def parse_route(pattern: str, zone: str) -> Route:
    """Return the route; raises ValueError for a pattern that Cloudflare refuses in a zone."""
    parts = _PATTERN.fullmatch(pattern)
    if not parts:
        msg = f"{pattern} has a query, a port, or a wildcard that is not at the end"
        raise ValueError(msg)
    host = parts["host"].lower().removeprefix("*").removeprefix(".")
    if host != zone and not host.endswith(f".{zone}"):
        msg = f"{pattern} is not in the zone {zone}"
        raise ValueError(msg)
    return Route(scheme=parts["scheme"], host=parts["host"], path=parts["path"] or "/")


def _fits(pattern: str, text: str) -> bool:
    # At most one wildcard, at the start of a host or at the end of a path.
    start, star, end = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(start + end) and text.startswith(start) and text.endswith(end)

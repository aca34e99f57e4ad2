"""The routing table: which requests a worker of Synapse may answer. Its data is routes.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import BundleError

ROUTES: Final = Path(__file__).with_name("routes.toml")
ANY: Final = "ANY"
# What the requests of clients and of servers begin with. Apache looks at it before it compares a path
# with a hundred patterns.
CLIENT_PATHS: Final = "^/_matrix/client/"
SERVER_PATHS: Final = "^/_matrix/(federation|key)/"
_FEDERATION: Final = ("^/_matrix/federation/", "^/_matrix/key/")


@dataclass(frozen=True, kw_only=True)
class Route:
    """Requests that a worker may answer: a regular expression over the undecoded path, and methods.

    No methods means any. Synapse answers HEAD as GET, so with GET there is HEAD. A route `by_room`
    must have one process for each room, and a `message` is made by whom it is given to and then
    written by the main process.
    """

    pattern: str
    methods: tuple[str, ...] = ()
    by_room: bool = False
    message: bool = False

    @property
    def federation(self) -> bool:
        """Whether other servers ask this."""
        return self.pattern.startswith(_FEDERATION)


@dataclass(frozen=True, kw_only=True)
class RoutingTable:
    """The routes of one version of Synapse."""

    synapse: str
    routes: tuple[Route, ...]


def read_table(path: Path = ROUTES) -> RoutingTable:
    """Return the routing table; raises BundleError where its file cannot be used."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        by_room, messages = frozenset(document["by_room"]), frozenset(document["messages"])
        routes = tuple(
            Route(
                pattern=pattern,
                methods=_list_methods(methods),
                by_room=pattern in by_room,
                message=pattern in messages,
            )
            for methods, patterns in document["routes"].items()
            for pattern in patterns
        )
        return RoutingTable(synapse=document["synapse"], routes=routes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{path} cannot be used: {error}; reinstall synapse-bundle") from error


def _list_methods(methods: str) -> tuple[str, ...]:
    named = () if methods == ANY else tuple(methods.split(","))
    return (*named, "HEAD") if "GET" in named else named

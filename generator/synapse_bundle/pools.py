"""Which of Synapse's processes Apache gives a request: its rules and its balancers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .processes import Process
from .routes import CLIENT_PATHS, SERVER_PATHS, Route, RoutingTable
from .topology import SYNAPSE

MAIN: Final = SYNAPSE.host


@dataclass(frozen=True, kw_only=True)
class ThreadShare:
    """How many of a child's threads one kind of request may hold, by who answers it.

    `main` is what the main process answers anyway, `workers` what workers do, `standby` what it
    answers in their place. 0 is none. Together they are not more than without workers, where the
    same kind has one share (docs/security.md): a worker that is full passes on to the main process.
    """

    kind: str
    main: int
    workers: int = 0
    standby: int = 0


# Uploads are clients' large bodies, and media is what servers fetch: the main process has both.
CLIENT_SHARES: Final = (
    ThreadShare(kind="small", main=80, workers=220, standby=100),
    ThreadShare(kind="large", main=22, workers=6, standby=4),
)
SERVER_SHARES: Final = (
    ThreadShare(kind="small-federation", main=10, workers=14, standby=6),
    ThreadShare(kind="large-federation", main=1, workers=1, standby=1),
    ThreadShare(kind="federation", main=8, workers=5, standby=3),
    ThreadShare(kind="key", main=8, workers=5, standby=3),
)
MEDIA_SHARE: Final = ThreadShare(kind="media", main=16)
# Everything else may hold what is left.
REST: Final = "rest"


@dataclass(frozen=True, kw_only=True)
class Balancer:
    """One balancer: `address` of its worker, empty where the main process is the only member.

    `most` and `standby` are threads of each child, 0 where there is no limit.
    """

    name: str
    address: str = ""
    most: int = 0
    standby: int = 0


@dataclass(frozen=True, kw_only=True)
class PoolRule:
    """Requests of these routes, with these methods (none means any), go to this pool.

    No pattern matches a path that `paths` does not.
    """

    pool: str
    paths: str
    methods: tuple[str, ...]
    patterns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pools:
    """What Apache needs to know; `second` is the pool of the second half of all users, if any."""

    balancers: tuple[Balancer, ...]
    rules: tuple[PoolRule, ...]
    first: str
    second: str


def form_pools(processes: Iterable[Process], table: RoutingTable) -> Pools | None:
    """Return the pools for these processes, one of each that serves; None where none does."""
    clients = [process for process in processes if process.clients]
    servers = [process for process in processes if process.servers]
    if not clients and not servers:
        return None
    return Pools(
        balancers=(
            *_balance(CLIENT_SHARES, clients),
            *_balance(SERVER_SHARES, servers),
            *_balance([MEDIA_SHARE], []),
            Balancer(name=f"{REST}-{MAIN}"),
            *(
                Balancer(name=f"{REST}-{process.name}", address=process.address)
                for process in dict.fromkeys([*clients, *servers])
            ),
        ),
        rules=(*_list_rules(table, clients), *_list_rules(table, servers, federation=True)),
        first=clients[0].name,
        second=clients[1].name if len(clients) > 1 else "",
    )


def _balance(shares: Iterable[ThreadShare], processes: list[Process]) -> Iterator[Balancer]:
    for share in shares:
        yield Balancer(name=f"{share.kind}-{MAIN}", most=share.main)
        for process in processes:
            yield Balancer(
                name=f"{share.kind}-{process.name}",
                address=process.address,
                most=max(1, share.workers // len(processes)),
                standby=max(1, share.standby // len(processes)),
            )


def _list_rules(
    table: RoutingTable, processes: list[Process], *, federation: bool = False
) -> Iterator[PoolRule]:
    """Yield one rule for each set of methods."""
    paths = SERVER_PATHS if federation else CLIENT_PATHS
    routes = [route for route in table.routes if _belongs(route, processes, federation=federation)]
    for methods in dict.fromkeys(route.methods for route in routes):
        patterns = tuple(route.pattern for route in routes if route.methods == methods)
        yield PoolRule(pool=processes[0].name, paths=paths, methods=methods, patterns=patterns)


def _belongs(route: Route, processes: list[Process], *, federation: bool) -> bool:
    """Return whether these processes serve a route: with several, none may be one room's own.

    A message costs more where two processes handle it (docs/workers.md): beside a single worker the main
    process takes them all; several relieve it of what it need not do itself.
    """
    stays = route.message if len(processes) == 1 else route.by_room
    return route.federation is federation and not stays

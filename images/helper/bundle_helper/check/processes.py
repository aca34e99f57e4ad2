"""Synapse's workers: each answers, and each learns what the main process writes."""

from __future__ import annotations

import json
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from .. import synapse
from ..accounts.registration import CHECK_USER
from ..exchange import Endpoint, ExchangeError, Request, ask
from ..findings import Finding, failed, passed
from .front_door import UnreachedError, apache, ask_through
from .sign_in import SignInError, ask_signed_in

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05
# One for clients and one for servers: whichever worker is away, one of them was its own.
_COVERED: Final = ("/_matrix/client/versions", "/_matrix/federation/v1/version")
_KEEPER: Final = "org.synapse-bundle.check"


def probe_processes(settings: ServiceSettings) -> Finding:
    """Ask each worker for its health; where one is away, prove that the main process stands in."""
    away = [worker.service for worker in _list_workers(settings) if not _is_healthy(worker)]
    if not away:
        return passed(", ".join(worker.service for worker in _list_workers(settings)))
    covered = all(_is_answered(settings, target) for target in _COVERED)
    requests = "the main process answers in its place" if covered else "nothing answers instead"
    return failed(
        f"{', '.join(away)}: no answer; {requests}",
        cause="a worker has ended, hangs, or waits for the database or the main process",
        next_step=f"`docker compose ps`, then `docker compose logs {' '.join(away)}`",
    )


def probe_streams(settings: ServiceSettings) -> Finding:
    """Write with the main process, and wait until every worker tells the same.

    A worker that has read the value keeps it, until the bus says that it has changed: so this
    proves the bus, and the worker's position in the stream.
    """
    user = quote(f"@{CHECK_USER}:{settings.server_name}", safe="")
    target = f"/_matrix/client/v3/user/{user}/account_data/{_KEEPER}"
    workers = _list_workers(settings)
    mark = secrets.token_hex(8)
    written = json.dumps({"mark": mark}).encode()
    try:
        for worker in workers:
            ask_signed_in(settings, worker, Request(target=target))
        answer = ask_signed_in(
            settings,
            synapse.endpoint(settings),
            Request(target=target, method="PUT", body=written),
        )
    except SignInError as error:
        return failed(
            error.message,
            cause="the checks' account is needed for this proof",
            next_step="`docker compose logs helper synapse`, then check again",
        )
    if answer.status != HTTPStatus.OK:
        return failed(
            f"the main process answers {answer.status} {answer.errcode} to a change".rstrip(),
            cause="Synapse cannot write",
            next_step="`docker compose logs synapse`",
        )
    began = time.monotonic()
    late = [w.service for w in workers if not _tells(settings, w, target, mark, began)]
    if not late:
        return passed(f"a change reaches all {len(workers)} in {time.monotonic() - began:.1f} s")
    return failed(
        f"{', '.join(late)}: a change did not arrive within {_PATIENCE_SECONDS:.0f} s",
        cause="Valkey, which carries changes between the processes, is away or refuses them",
        next_step="`docker compose logs valkey`, then `docker compose restart valkey`",
    )


def _list_workers(settings: ServiceSettings) -> list[Endpoint]:
    return [
        Endpoint(service=host, address=(host, port), host=settings.homeserver)
        for host, port in settings.workers
    ]


def _is_healthy(worker: Endpoint) -> bool:
    try:
        return ask(worker, Request(target="/health")).status == HTTPStatus.OK
    except ExchangeError:
        return False


def _is_answered(settings: ServiceSettings, target: str) -> bool:
    try:
        return ask_through(apache(settings), Request(target=target)).status == HTTPStatus.OK
    except (ExchangeError, UnreachedError):
        return False


def _tells(
    settings: ServiceSettings, worker: Endpoint, target: str, mark: str, began: float
) -> bool:
    while ask_signed_in(settings, worker, Request(target=target)).json().get("mark") != mark:
        if time.monotonic() > began + _PATIENCE_SECONDS:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True

"""Checks every few minutes what the server depends on: database, disk, Apache, tunnel, backups.

What fails is in the log and the status, and reported by `notification`. The helper stays healthy: its
own health is about its own duties.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .. import health, storage, synapse
from ..claim.data_identity import is_of_other_data
from ..errors import HelperError
from ..exchange import OK, Endpoint, ExchangeError, Request, ask, ask_url
from ..status import CERTIFICATE, CLAIM, WATCH
from . import notification
from .backup_report import BACKUP, DRILL, check_backup, check_drill
from .disk import check_disk
from .heartbeat import call_heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

HEARTBEAT: Final = "heartbeat"
TUNNEL: Final = "tunnel"
# Not the name of the claim's duty, whose problem is in the log under that.
COPIES: Final = "copies"
# It uses the internet, so a tunnel that works is checked less often.
_TUNNEL_PAUSE: Final = timedelta(minutes=14)


def keep_watch(
    settings: ServiceSettings,
    tell: Callable[[str], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Check everything once, leave what was found, and send the messages that are due."""
    before, moment = read_last(settings), now()
    found = _check_parts(settings, before, moment)
    all_well = not any(part["problem"] for part in found.values())
    if settings.heartbeat_file is not None:
        if all_well and health.find_problem(str(settings.state_directory), moment) is None:
            found[HEARTBEAT] = _note(
                before.get(HEARTBEAT), call_heartbeat(settings.heartbeat_file), moment
            )
        elif HEARTBEAT in before:
            found[HEARTBEAT] = before[HEARTBEAT]
    storage.write_json(settings.state_directory / f"{WATCH}.json", found)
    watched = {name: part for name, part in found.items() if name != HEARTBEAT}
    certificate = _read(settings.state_directory / f"{CERTIFICATE}.json")
    failures = notification.list_failures(settings.homeserver, watched, certificate, moment)
    notification.send_news(settings, failures, moment, tell)


def read_last(settings: ServiceSettings) -> dict[str, Any]:
    """Return what the last round found, by part; nothing before the first."""
    return _read(settings.state_directory / f"{WATCH}.json")


def _check_parts(
    settings: ServiceSettings, before: Mapping[str, Any], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return for each part what is wrong with it, or None, and since when it is so."""
    checks = {"database": _check_database, "disk": check_disk, "apache": check_apache}
    found = {name: _note(before.get(name), check(settings), now) for name, check in checks.items()}
    if settings.claim is not None:
        found[COPIES] = _note(before.get(COPIES), _read_claim(settings), now)
    if settings.backup_at is not None:
        found[BACKUP] = _note(before.get(BACKUP), check_backup(settings, now), now)
        if settings.backup_drill is not None:
            found[DRILL] = _note(before.get(DRILL), check_drill(settings, now), now)
    if settings.outside:
        last = before.get(TUNNEL)
        if last and not last["problem"] and not _is_due(last["asked"], now):
            found[TUNNEL] = last
        else:
            asked = {"asked": now.isoformat()}
            found[TUNNEL] = _note(last, check_tunnel(settings), now) | asked
    return found


def _note(before: Mapping[str, Any] | None, problem: str | None, now: datetime) -> dict[str, Any]:
    """Return a part's problem, with the moment at which it was first seen to fail."""
    since = before["since"] if before and before.get("problem") else now.isoformat()
    return {"problem": problem, "since": since if problem else None}


def _check_database(settings: ServiceSettings) -> str | None:
    """Ask Synapse for something that it must look up in its database."""
    try:
        finding = synapse.prove_database(settings)
    except HelperError as error:
        return error.message
    return None if finding.ok else finding.detail


def _read_claim(settings: ServiceSettings) -> str | None:
    """Return what the claim's duty reports: that this copy does not serve, or cannot write."""
    problem: str | None = _read(settings.state_directory / f"{CLAIM}.json").get("problem")
    return problem


def check_apache(settings: ServiceSettings) -> str | None:
    """Ask Apache for its front page; its certificate is checked elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = settings.homeserver
    endpoint = Endpoint(
        service="apache", address=settings.apache_address, host=name, tls=context, tls_name=name
    )
    try:
        ask(endpoint, Request(target="/"))
    except ExchangeError as error:
        return error.message
    return None


def check_tunnel(settings: ServiceSettings) -> str | None:
    """Ask the public name as other servers do: out into the internet and back in by the tunnel."""
    url = f"{settings.base_url}/_matrix/client/versions"
    try:
        answer = ask_url(url, settings.certificate.root_file)
    except HelperError as error:
        return f"{url}: {error.message}"
    if answer.status not in OK:
        return f"{url} answers with {answer.status}"
    if is_of_other_data(answer.headers, settings.database_report_file):
        return f"{url} is answered by another copy of this server, with data of its own"
    return None


def _is_due(asked: str, now: datetime) -> bool:
    return not timedelta(0) <= now - datetime.fromisoformat(asked) < _TUNNEL_PAUSE


def _read(path: Path) -> dict[str, Any]:
    try:
        return storage.read_json(path)
    except HelperError:
        return {}

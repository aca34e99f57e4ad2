"""Checks every few minutes what the server depends on: its database, its disk, Apache, its tunnel.

What fails is in the log and the status, and reported by `notification`. The helper stays healthy: its
own health is about its own duties.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .. import health, storage, synapse
from ..errors import HelperError
from ..exchange import Endpoint, ExchangeError, Request, ask
from ..settings.environment import read_secret
from ..settings.issuers import Acme
from ..status import CERTIFICATE, WATCH
from . import notification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

HEARTBEAT, TUNNEL = "heartbeat", "tunnel"
# It uses the internet, so a tunnel that works is checked less often.
_TUNNEL_PAUSE: Final = timedelta(minutes=14)
# A machine of any size runs for a while with this much; on a small disk a tenth must do.
_SCARCE_BYTES: Final = 2 * 1024**3
_SCARCE_SHARE: Final = 10
_MEBIBYTE: Final = 1024**2
_OK: Final = range(200, 300)
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80


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
            found[HEARTBEAT] = note(
                before.get(HEARTBEAT), _call_heartbeat(settings.heartbeat_file), moment
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
    found = {name: note(before.get(name), check(settings), now) for name, check in checks.items()}
    if settings.outside:
        last = before.get(TUNNEL)
        if last and not last["problem"] and not _is_due(last["asked"], now):
            found[TUNNEL] = last
        else:
            asked = {"asked": now.isoformat()}
            found[TUNNEL] = note(last, check_tunnel(settings), now) | asked
    return found


def note(before: Mapping[str, Any] | None, problem: str | None, now: datetime) -> dict[str, Any]:
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


def check_disk(settings: ServiceSettings) -> str | None:
    """Check the disks of the volumes mounted here; Docker keeps all others beside them."""
    for directory in _list_directories(settings):
        try:
            disk = os.statvfs(directory)
        except OSError as error:
            return f"{directory} cannot be read ({error.strerror})"
        scarce = min(_SCARCE_BYTES, disk.f_blocks * disk.f_frsize // _SCARCE_SHARE)
        if disk.f_bavail * disk.f_frsize < scarce:
            return (
                f"less than {scarce // _MEBIBYTE} MiB are free on the disk with Docker's volumes;"
                " a full disk stops PostgreSQL"
            )
    return None


def _list_directories(settings: ServiceSettings) -> Iterator[Path]:
    yield settings.certificate.directory
    yield settings.database_report_file.parent
    if isinstance(settings.certificate.issuer, Acme):
        yield settings.certificate.issuer.lineages_directory


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
        status = _get(url, settings.certificate.root_file)
    except HelperError as error:
        return f"{url}: {error.message}"
    return None if status in _OK else f"{url} answers with {status}"


def _call_heartbeat(file: Path) -> str | None:
    """Call the address in `file`; return why that did not work, without the address."""
    try:
        status = _get(read_secret(file).reveal())
    except (HelperError, ValueError) as error:
        reason = error.message if isinstance(error, HelperError) else "its file is unusable"
        return f"the call of the heartbeat address failed: {reason}"
    return None if status in _OK else f"the heartbeat address answers with {status}"


def _get(url: str, root: Path | None = None) -> int:
    """Return the status that a URL answers with; HelperError says why there was no answer, but not the URL."""
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if root is not None:
            context.load_verify_locations(root)
    host = parts.hostname or ""
    endpoint = Endpoint(
        service=host,
        address=(host, parts.port or (_HTTPS_PORT if context else _HTTP_PORT)),
        host=parts.netloc.rpartition("@")[2],
        tls=context,
        tls_name=host,
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return ask(endpoint, Request(target=target)).status
    except ExchangeError as error:
        cause = error.__cause__
        reason = getattr(cause, "verify_message", "") or getattr(cause, "strerror", None)
        raise HelperError(f"no answer ({reason or type(cause).__name__})") from error


def _is_due(asked: str, now: datetime) -> bool:
    return not timedelta(0) <= now - datetime.fromisoformat(asked) < _TUNNEL_PAUSE


def _read(path: Path) -> dict[str, Any]:
    try:
        return storage.read_json(path)
    except HelperError:
        return {}

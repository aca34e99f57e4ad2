"""Looks every few minutes at what the server stands on: its database, its disk, Apache, its tunnel.

What fails is told in the log and the status, and by `notification`. The helper itself is not ill from it:
its own health is about its own duties.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import health, storage
from ..check.database_proof import probe_reached
from ..errors import HelperError
from ..exchange import Endpoint, ExchangeError, Request, ask
from ..service.supervisor import CERTIFICATE, WATCH
from ..settings.environment import read_secret
from . import notification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

HEARTBEAT, TUNNEL = "heartbeat", "tunnel"
# It leaves the house, so a tunnel that is well is asked more seldom.
_TUNNEL_PAUSE = timedelta(minutes=14)
# A machine of any size goes on for a while with this much; on a small disk a tenth must do.
_SCARCE_BYTES = 2 * 1024**3
_SCARCE_SHARE = 10
_MEBIBYTE = 1024**2
_OK = range(200, 300)
_HTTPS, _HTTP = 443, 80


def keep_watch(
    settings: ServiceSettings,
    tell: Callable[[str], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Look at everything once, leave what was found, and send word of it where that is due."""
    before, moment = read(settings), now()
    found = look(settings, before, moment)
    well = not any(part["problem"] for part in found.values())
    if settings.heartbeat_file is not None:
        if well and health.look(str(settings.state_directory), moment) is None:
            found[HEARTBEAT] = note(before.get(HEARTBEAT), beat(settings.heartbeat_file), moment)
        elif HEARTBEAT in before:
            found[HEARTBEAT] = before[HEARTBEAT]
    storage.write(settings.state_directory / f"{WATCH}.json", found)
    watched = {name: part for name, part in found.items() if name != HEARTBEAT}
    certificate = _read(settings.state_directory / f"{CERTIFICATE}.json")
    worries = notification.list_worries(settings.homeserver, watched, certificate, moment)
    notification.consider(settings, worries, moment, tell)


def read(settings: ServiceSettings) -> dict[str, Any]:
    """Return what the last look found, by part; nothing before the first."""
    return _read(settings.state_directory / f"{WATCH}.json")


def look(
    settings: ServiceSettings, before: Mapping[str, Any], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return for each part what is wrong with it, or None, and since when it is so."""
    looks = {"database": look_at_database, "disk": look_at_disk, "apache": look_at_apache}
    found = {name: note(before.get(name), each(settings), now) for name, each in looks.items()}
    if settings.outside:
        last = before.get(TUNNEL)
        if last and not last["problem"] and not _is_due(last["asked"], now):
            found[TUNNEL] = last
        else:
            asked = {"asked": now.isoformat()}
            found[TUNNEL] = note(last, look_at_tunnel(settings), now) | asked
    return found


def note(before: Mapping[str, Any] | None, problem: str | None, now: datetime) -> dict[str, Any]:
    """Return a part's problem, with the moment at which it was first seen to fail."""
    since = before["since"] if before and before.get("problem") else now.isoformat()
    return {"problem": problem, "since": since if problem else None}


def look_at_database(settings: ServiceSettings) -> str | None:
    """Ask Synapse something that it must look up in its database."""
    try:
        finding = probe_reached(settings)
    except HelperError as error:
        return error.message
    return None if finding.ok else finding.detail


def look_at_disk(settings: ServiceSettings) -> str | None:
    """Look at the disks of the volumes mounted here; Docker keeps all others beside them."""
    for place in _places(settings):
        try:
            disk = os.statvfs(place)
        except OSError as error:
            return f"{place} can not be looked at ({error.strerror})"
        scarce = min(_SCARCE_BYTES, disk.f_blocks * disk.f_frsize // _SCARCE_SHARE)
        if disk.f_bavail * disk.f_frsize < scarce:
            return (
                f"less than {scarce // _MEBIBYTE} MiB are free on the disk with Docker's volumes;"
                " a full disk stops PostgreSQL"
            )
    return None


def _places(settings: ServiceSettings) -> Iterator[Path]:
    yield settings.certificates_directory
    yield settings.database_report_file.parent
    if settings.acme is not None:
        yield settings.acme.lineages_directory


def look_at_apache(settings: ServiceSettings) -> str | None:
    """Ask Apache for its front page; whether its certificate is a good one is seen to elsewhere."""
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


def look_at_tunnel(settings: ServiceSettings) -> str | None:
    """Ask the public name as strangers do: out into the internet and back in by the tunnel."""
    url = f"{settings.base_url}/_matrix/client/versions"
    try:
        status = get(url, settings.root_file)
    except HelperError as error:
        return f"{url}: {error.message}"
    return None if status in _OK else f"{url} answers with {status}"


def beat(file: Path) -> str | None:
    """Call the address in `file`; return why that did not work, without the address."""
    try:
        status = get(read_secret(file).reveal())
    except (HelperError, ValueError) as error:
        reason = error.message if isinstance(error, HelperError) else "its file is unusable"
        return f"the heartbeat address was called in vain: {reason}"
    return None if status in _OK else f"the heartbeat address answers with {status}"


def get(url: str, root: Path | None = None) -> int:
    """Return the status that a URL answers with; HelperError says why none came, not where."""
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if root is not None:
            context.load_verify_locations(root)
    host = parts.hostname or ""
    endpoint = Endpoint(
        service=host,
        address=(host, parts.port or (_HTTPS if context else _HTTP)),
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
        return storage.read(path)
    except HelperError:
        return {}

"""Step 3 of server discovery: https://HOST/.well-known/matrix/server.

https://spec.matrix.org/latest/server-server-api/#resolving-server-names
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from . import web
from .answers import explain_answer, is_absent
from .faults import Fault, FaultError
from .names import ServerName, parse_server_name, shown

if TYPE_CHECKING:
    from email.message import Message

    from .network import Network

PATH = "/.well-known/matrix/server"
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class WellKnown:
    """What the document says, or why it says nothing.

    `told` is m.server as it stands; without a `delegate` it is none that anybody could follow.
    `absent` says that there is nothing wrong: a 404, or nobody asks. `expires_at` is in seconds
    since 1970, and 0 where no header tells.
    """

    told: str = ""
    delegate: ServerName | None = None
    absent: str = ""
    fault: Fault | None = None
    expires_at: int = 0


def look(host: str, network: Network) -> WellKnown:
    """Ask for the document of a host; whatever is wrong with it is in the answer."""
    url = f"https://{host}{PATH}"
    try:
        answer = web.get(network, url)
    except FaultError as error:
        return WellKnown(fault=error.fault)
    if is_absent(answer):
        return WellKnown(absent=f"{url} is not there (404)")
    fault = explain_answer(answer, url)
    if fault:
        return WellKnown(fault=fault)
    content = web.read_object(answer)
    if content is None:
        return WellKnown(fault=_fault_of_document(f"{url} is no JSON object"))
    told = content.get("m.server")
    if not isinstance(told, str) or not told:
        return WellKnown(fault=_fault_of_document(f"{url} names no m.server"))
    return _read(url, told, read_expiry(answer.headers, time.time()))


def _read(url: str, told: str, expires_at: int) -> WellKnown:
    try:
        delegate = parse_server_name(told)
    except ValueError as error:
        fault = _fault_of_document(f"{url} names an m.server that is none: {error}")
        return WellKnown(told=shown(told), fault=fault, expires_at=expires_at)
    return WellKnown(told=told, delegate=delegate, expires_at=expires_at)


def _fault_of_document(told: str) -> Fault:
    return Fault(
        told=told,
        cause="the document is not what the specification describes",
        next_step='serve {"m.server": "matrix.example.org:443"}, with your host and no https://',
    )


def read_expiry(headers: Message, now: float) -> int:
    """Return when the answer gets stale by RFC 9111, in seconds since 1970, or 0 if that is open."""
    age = _MAX_AGE.search(headers.get("Cache-Control", ""))
    if age:
        return int(now) + int(age[1])
    try:
        return int(parsedate_to_datetime(headers.get("Expires", "")).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0

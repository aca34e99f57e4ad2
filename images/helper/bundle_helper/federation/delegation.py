"""Step 3 of server discovery: https://HOST/.well-known/matrix/server.

https://spec.matrix.org/latest/server-server-api/#resolving-server-names
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from . import web
from .answers import explain_answer, is_absent
from .faults import Fault, FaultError
from .names import ServerName, parse_server_name, shown

if TYPE_CHECKING:
    from email.message import Message

    from .network import Network

_PATH: Final = "/.well-known/matrix/server"
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What the document says, or why it says nothing.

    `m_server` is m.server as it is written; without a `delegate` no server could follow it.
    `absent` says why the absence is not wrong: a 404, or the document was not asked for.
    `expires_at` is in seconds since 1970, and 0 where no header says.
    """

    m_server: str = ""
    delegate: ServerName | None = None
    absent: str = ""
    fault: Fault | None = None
    expires_at: int = 0


def fetch(host: str, network: Network) -> Delegation:
    """Fetch the document of a host; anything wrong with it is in the result."""
    url = f"https://{host}{_PATH}"
    try:
        answer = web.get(network, url)
    except FaultError as error:
        return Delegation(fault=error.fault)
    if is_absent(answer):
        return Delegation(absent=f"{url} does not exist (404)")
    fault = explain_answer(answer, url)
    if fault:
        return Delegation(fault=fault)
    content = web.read_object(answer)
    if content is None:
        return Delegation(fault=_fault_of_document(f"{url} is not a JSON object"))
    m_server = content.get("m.server")
    if not isinstance(m_server, str) or not m_server:
        return Delegation(fault=_fault_of_document(f"{url} does not name m.server"))
    return _read(url, m_server, _read_expiry(answer.headers, time.time()))


def _read(url: str, m_server: str, expires_at: int) -> Delegation:
    try:
        delegate = parse_server_name(m_server)
    except ValueError as error:
        fault = _fault_of_document(f"{url} names an m.server that is not usable: {error}")
        return Delegation(m_server=shown(m_server), fault=fault, expires_at=expires_at)
    return Delegation(m_server=m_server, delegate=delegate, expires_at=expires_at)


def _fault_of_document(detail: str) -> Fault:
    return Fault(
        detail=detail,
        cause="the document is not what the specification describes",
        next_step='serve {"m.server": "matrix.example.org:443"}, with your host and no https://',
    )


def _read_expiry(headers: Message, now: float) -> int:
    """Return when the answer gets stale by RFC 9111, in seconds since 1970, or 0 if unknown."""
    age = _MAX_AGE.search(headers.get("Cache-Control", ""))
    if age:
        return int(now) + int(age[1])
    try:
        return int(parsedate_to_datetime(headers.get("Expires", "")).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0

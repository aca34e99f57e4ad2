"""One address of a server: the certificate it presents, the keys it serves, the name it gives itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import keys, web
from .answers import explain_answer
from .faults import Fault, FaultError
from .tls import PresentedCertificate, read_chain, secure, secure_anyway

if TYPE_CHECKING:
    from ..exchange import Answer
    from .keys import Keys
    from .names import ServerName
    from .network import Network, Place

_VERSION_TARGET: Final = "/_matrix/federation/v1/version"


@dataclass(frozen=True, kw_only=True)
class ServerConnection:
    """What one address presented; `document` is what `keys` was read from."""

    trusted_by: str
    certificate_fault: Fault | None
    certificates: tuple[PresentedCertificate, ...]
    tls_version: str
    cipher: str
    document: dict[str, Any]
    keys: Keys

    @property
    def ok(self) -> bool:
        """Whether other servers would talk to it."""
        return self.certificate_fault is None and not self.keys.problems


@dataclass(frozen=True, kw_only=True)
class Version:
    """What the server says it is."""

    name: str = ""
    version: str = ""
    fault: Fault | None = None


def visit(place: Place, host: ServerName, name: ServerName, network: Network) -> ServerConnection:
    """Ask `host` at an address for the keys of the server `name`, even if its certificate is bad.

    FaultError, OSError or http.client.HTTPException if no keys came.
    """
    secured = secure_anyway(network, place, host.host)
    with secured.connected as connected:
        chain = read_chain(connected)
        version = str(connected.version()).replace("TLSv", "TLS ")
        cipher = str((connected.cipher() or ("",))[0])
        answer = web.send(connected, host, keys.TARGET)
    document = _read(answer, f"{keys.TARGET} at {place}")
    return ServerConnection(
        trusted_by=secured.trusted_by,
        certificate_fault=secured.fault,
        certificates=chain,
        tls_version=version,
        cipher=cipher,
        document=document,
        keys=keys.read_keys(document, str(name), time.time()),
    )


def ask_version(place: Place, host: ServerName, network: Network) -> Version:
    """Return what the server at an address says it is; as with `visit` if it says nothing."""
    with secure(network, place, host.host).connected as connected:
        answer = web.send(connected, host, _VERSION_TARGET)
    server = _read(answer, f"{_VERSION_TARGET} at {place}").get("server")
    detail = server if isinstance(server, dict) else {}
    name, version = detail.get("name"), detail.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise FaultError(_wrong_form(f"{_VERSION_TARGET} at {place} does not name a server"))
    return Version(name=name, version=version)


def _read(answer: Answer, what: str) -> dict[str, Any]:
    fault = explain_answer(answer, what)
    if fault:
        raise FaultError(fault)
    document = None if len(answer.body) > web.LONGEST_BODY else web.read_object(answer)
    if document is None:
        raise FaultError(_wrong_form(f"{what} is not a JSON object"))
    return document


def _wrong_form(detail: str) -> Fault:
    return Fault(
        detail=detail,
        cause="something other than a Matrix server answers, or it is cut short",
        next_step="check what listens there, and let /_matrix pass through to it unchanged",
    )

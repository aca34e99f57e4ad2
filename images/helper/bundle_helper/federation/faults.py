"""What can be wrong between here and another server, in words: what, why, and what to do next."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from http.client import IncompleteRead
from typing import Final, TypeAlias

import dns.exception
import dns.resolver

from ..findings import Finding, failed
from .names import shown

_NO_ROUTE: Final = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
# What OpenSSL calls them: x509_vfy.h, X509_V_ERR_*.
_NOT_YET: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = {62, 64}
_UNKNOWN_ROOT: Final = {2, 18, 19, 20, 21}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong; `no_way` says that only this machine cannot reach it."""

    detail: str
    cause: str
    next_step: str
    no_way: bool = False


class FaultError(Exception):
    """No usable answer came."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


_Kinds: TypeAlias = type[Exception] | tuple[type[Exception], ...]
# The first whose kind matches counts: kind of error, detail, cause, next step.
_CASES: Final[tuple[tuple[_Kinds, str, str, str], ...]] = (
    (
        TimeoutError,
        "{place} did not answer in time",
        "a firewall drops the packets, or the server hangs",
        "open the port, or name the right one in m.server (Cloudflare never passes on 8448)",
    ),
    (
        ConnectionRefusedError,
        "{place} refuses connections",
        "nothing listens on that port",
        "start the server, or name the right port in m.server",
    ),
    (
        (ConnectionError, ssl.SSLEOFError, IncompleteRead),
        "{place} cut the connection ({reason})",
        "a proxy between gives up, or the server restarts",
        "try again; then check the logs of the server and of its proxy",
    ),
    (
        ssl.SSLError,
        "{place} does not speak TLS as other servers do ({reason})",
        "the port is not for HTTPS, or TLS 1.2 and 1.3 are switched off there",
        "check what listens on that port",
    ),
    (
        OSError,
        "{place} cannot be reached ({reason})",
        "the network between here and there is broken",
        "check the address in DNS, then this machine's network",
    ),
    (
        Exception,
        "{place} does not speak HTTP as other servers do ({reason})",
        "something else listens on that port",
        "check what listens there",
    ),
)


def explain_error(error: Exception, place: str) -> Fault:
    """Return what kept a connection to `place` from giving an answer."""
    if isinstance(error, FaultError):
        return error.fault
    if isinstance(error, ssl.SSLCertVerificationError):
        return explain_certificate(error, place)
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return _explain_no_way("IPv6" if "[" in place else "IPv4", place)
    detail, cause, next_step = next(rest for kind, *rest in _CASES if isinstance(error, kind))
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    reason = shown(str(said) or type(error).__name__)
    return Fault(detail=detail.format(place=place, reason=reason), cause=cause, next_step=next_step)


def _explain_no_way(family: str, place: str) -> Fault:
    return Fault(
        detail=f"{place} cannot be tried from here: no way out by {family}",
        cause=f"this machine, or Docker's network, has no {family}",
        next_step="nothing, if another address answers; otherwise check this machine's network",
        no_way=True,
    )


def explain_certificate(error: ssl.SSLCertVerificationError, place: str) -> Fault:
    """Return why a certificate is not trusted, from what OpenSSL says."""
    said = shown(error.verify_message)
    if error.verify_code == _EXPIRED:
        detail, why, todo = "has expired", "it was not renewed", "renew it"
    elif error.verify_code == _NOT_YET:
        detail, why, todo = (
            "is not valid yet",
            "a clock is wrong, here or there",
            "compare `date -u`",
        )
    elif error.verify_code in _OTHER_NAME:
        detail, why = "is for another name", said
        todo = "serve a certificate that carries the name which others ask for"
    elif error.verify_code in _UNKNOWN_ROOT:
        detail, why = "does not lead to a known root", said
        todo = (
            "serve the whole chain of a public authority;"
            " in a private federation name its root: --root FILE"
        )
    else:
        detail, why, todo = (
            f"is not accepted ({said})",
            "its form or its chain is broken",
            "renew it",
        )
    return Fault(detail=f"the certificate of {place} {detail}", cause=why, next_step=todo)


def explain_lookup(error: dns.exception.DNSException, name: str) -> Fault:
    """Return what DNS said instead of an answer."""
    if isinstance(error, dns.resolver.NXDOMAIN):
        return Fault(
            detail=f"the name {name} does not exist in DNS",
            cause="there is no record for it, or it is too new for the resolver asked",
            next_step="add the record; if it is there, wait a few minutes",
        )
    if isinstance(error, dns.resolver.NoAnswer):
        return Fault(
            detail=f"the name {name} has no address in DNS",
            cause="it has neither an A nor an AAAA record",
            next_step="add the record",
        )
    return Fault(
        detail=f"DNS gave no answer for {name} ({type(error).__name__})",
        cause="this machine cannot reach a resolver, or the zone's name servers are broken",
        next_step="check this machine's network; then https://dnsviz.net",
    )


def blame(fault: Fault) -> Finding:
    """Return the finding that something does not hold because of a fault."""
    return failed(fault.detail, cause=fault.cause, next_step=fault.next_step)

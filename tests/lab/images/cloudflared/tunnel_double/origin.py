"""Connections to the origins: one pool and one set of trusted authorities for each rule.

Source: ingress/origin_service.go (newHTTPTransport) and tlsconfig/certreloader.go of cloudflared,
and the rules of Go's http.Transport for a request on a kept connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from tunnel_double import RefusalError
from tunnel_double.ingress import Rule

# What aiohttp would add of its own; cloudflared adds nothing.
_AUTOMATIC_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# What Go sends again when the origin closed a kept connection; PUT and DELETE it does not.
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_LARGEST_RESPONSE_FIELD: Final = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One request on its way to the origin."""

    method: str
    target: str
    """Path and query, exactly as the visitor wrote them."""
    headers: CIMultiDict[str]
    body: AsyncIterator[bytes] | None


def load_authorities(rule: Rule) -> ssl.SSLContext:
    """Return whom the rule's origin may be certified by: the system's authorities and caPool.

    The file is read here and never again. Raises RefusalError when it cannot be read or holds no
    certificate (cloudflared only logs the latter).
    """
    context = ssl.create_default_context()
    # Go takes any trusted certificate as the end of a chain, and no common name for a host name.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    if rule.origin.no_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if rule.origin.ca_pool:
        _add_pool(context, Path(rule.origin.ca_pool))
    return context


def _add_pool(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cadata=path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"Error loading cert pool: unable to read the file {path} for caPool: {reason}"
        raise RefusalError(msg) from None


class Origin:
    """The way to the origin of one rule."""

    def __init__(self, rule: Rule) -> None:
        """Read the trusted authorities; connect to nothing yet."""
        self._rule = rule
        self._context = load_authorities(rule)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Prepare the pool of connections; they are made when the first request comes."""
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        options = self._rule.origin
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=options.keep_alive_timeout, ssl=self._context
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=options.connect_timeout + options.tls_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC_HEADERS,
            max_line_size=_LARGEST_RESPONSE_FIELD,
            max_field_size=_LARGEST_RESPONSE_FIELD,
            trace_configs=[tracing],
        )
        # aiohttp would send PUT and DELETE again, and also after a failure on a new connection.
        self._session._retry_connection = False

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def send(self, outgoing: Outgoing) -> aiohttp.ClientResponse:
        """Return the origin's response with its body still unread.

        Raises aiohttp.ClientError when the origin cannot be reached, proves to be another or
        breaks off. A request without body that met a connection closed by the origin goes out
        again, like in Go; any other fails.
        """
        repeatable = outgoing.body is None and outgoing.method in _REPEATABLE
        while True:
            attempt = SimpleNamespace(reused=False)
            try:
                return await self._send_once(outgoing, attempt)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not (repeatable and attempt.reused):
                    raise

    async def _send_once(
        self, outgoing: Outgoing, attempt: SimpleNamespace
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            msg = "the origin is not open"
            raise RuntimeError(msg)
        return await self._session.request(
            outgoing.method,
            self._build_url(outgoing.target),
            headers=self._address(outgoing.headers),
            data=outgoing.body,
            allow_redirects=False,
            server_hostname=self._find_certified_name(outgoing.headers),
            trace_request_ctx=attempt,
        )

    def _build_url(self, target: str) -> URL:
        service = self._rule.service
        host = f"[{service.host}]" if ":" in service.host else service.host
        url = URL(f"{service.scheme}://{host}:{service.port}{target}", encoded=True)
        # yarl drops a question mark with nothing after it; the bytes of a signed URI must survive.
        url._cache["raw_path_qs"] = target
        return url

    def _address(self, headers: CIMultiDict[str]) -> CIMultiDict[str]:
        sent = CIMultiDict(headers)
        if self._rule.origin.http_host_header:
            sent["X-Forwarded-Host"] = sent["Host"]
            sent["Host"] = self._rule.origin.http_host_header
        return sent

    def _find_certified_name(self, headers: CIMultiDict[str]) -> str | None:
        """Return the name that the origin's certificate must carry; None where there is no TLS."""
        if self._rule.service.scheme != "https":
            return None
        if self._rule.origin.match_sni_to_host:
            return headers["Host"]
        return self._rule.origin.origin_server_name or self._rule.service.host


async def _note_reuse(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx.reused = True

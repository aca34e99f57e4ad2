"""The public side: takes visitors' requests, passes them on, and answers for the edge."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from logging import Logger
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tunnel_double import edge
from tunnel_double.ingress import Rule, find_rule
from tunnel_double.origin import Origin, Outgoing

_UNREACHABLE: Final = (
    "Unable to reach the origin service. The service may be down or it may not be responding to "
    "traffic from cloudflared"
)
_TIMED_OUT: Final = 524


class Upload:
    """A visitor's body on its way to the origin; counts, and puts off the deadline as it goes."""

    def __init__(self, request: web.Request, limits: edge.Limits) -> None:
        """Remember where the bytes come from; read none yet."""
        self._content = request.content if request.body_exists else None
        self._limits = limits
        self.deadline: asyncio.Timeout | None = None
        self.too_large = False

    @property
    def body(self) -> AsyncIterator[bytes] | None:
        """The bytes, or None where the request has no body."""
        return None if self._content is None else self._stream(self._content)

    async def _stream(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        sent = 0
        async for part in content.iter_any():
            sent += len(part)
            self.too_large = sent > self._limits.body
            if self.too_large:
                msg = "the request body exceeds the limit of the edge"
                raise aiohttp.ClientError(msg)
            if self.deadline is not None:
                now = asyncio.get_running_loop().time()
                self.deadline.reschedule(now + self._limits.response)
            yield part


class PublicSide:
    """Cloudflare as the visitor sees it."""

    def __init__(
        self,
        rules: Sequence[Rule],
        origins: Mapping[int, Origin],
        *,
        limits: edge.Limits,
        connector: str,
        log: Logger,
    ) -> None:
        """Take the rules and, by the index of their rule, the opened origins."""
        self._rules = rules
        self._origins = origins
        self._limits = limits
        self._connector = connector
        self._log = log

    def build_application(self) -> web.Application:
        """Return the application that takes every method and every path."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.answer, expect_handler=self._expect)
        application.on_response_prepare.append(_drop_invented_type)
        return application

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """Ask for the awaited body only when the edge would take the request."""
        if edge.find_refusal(request.raw_path, request.headers, self._limits) is None:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # These bytes are not part of the answer, which may still turn out to be an error.
            request.writer.output_size = 0
        return None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request like Cloudflare with this tunnel behind it."""
        ray = secrets.token_hex(8)
        refusal = edge.find_refusal(request.raw_path, request.headers, self._limits)
        if refusal is not None:
            return self._refuse(refusal, ray)
        try:
            address = edge.find_visitor(request.headers, request.remote)
        except ValueError as error:
            return web.Response(
                status=HTTPStatus.BAD_REQUEST, text=f"{edge.VISITOR_HEADER}: {error}"
            )
        index = find_rule(self._rules, request.host, unquote(urlsplit(request.raw_path).path))
        if index not in self._origins:
            headers = edge.build_visitor_headers(CIMultiDict(), ray)
            return web.Response(status=self._rules[index].service.status, headers=headers)
        visit = edge.Visit(address=address, ray=ray, connector=self._connector)
        return await self._pass_on(request, index, visit)

    async def _pass_on(
        self, request: web.Request, index: int, visit: edge.Visit
    ) -> web.StreamResponse:
        upload = Upload(request, self._limits)
        outgoing = Outgoing(
            method=request.method,
            target=request.raw_path,
            headers=edge.build_origin_headers(request.headers, visit),
            body=upload.body,
        )
        try:
            async with asyncio.timeout(self._limits.response) as upload.deadline:
                response = await self._origins[index].send(outgoing)
        except (aiohttp.ClientError, OSError) as error:
            return self._explain(error, upload, index, visit.ray)
        finally:
            upload.deadline = None
        async with response:
            return await self._pass_back(request, response, upload, visit.ray)

    def _explain(
        self, error: Exception, upload: Upload, index: int, ray: str
    ) -> web.StreamResponse:
        if upload.too_large:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ray)
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            self._log.error("the origin did not begin to answer in %s s", self._limits.response)
            return self._refuse(_TIMED_OUT, ray)
        service = self._rules[index].service.text
        self._log.error(
            'error="%s: %s" ingressRule=%d originService=%s', _UNREACHABLE, error, index, service
        )
        return self._refuse(HTTPStatus.BAD_GATEWAY, ray)

    async def _pass_back(
        self,
        request: web.Request,
        response: aiohttp.ClientResponse,
        upload: Upload,
        ray: str,
    ) -> web.StreamResponse:
        answer = web.StreamResponse(
            status=response.status,
            reason=response.reason,
            headers=edge.build_visitor_headers(response.headers, ray),
        )
        answer["origin names a type"] = "Content-Type" in response.headers
        await answer.prepare(request)
        try:
            while part := await self._read_part(response):
                await answer.write(part)
            await answer.write_eof()
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError) as error:
            # An end that looks regular would pass a part of the body off as the whole.
            reason = "the body exceeds the limit of the edge" if upload.too_large else error
            self._log.error('error="response broken off: %s"', reason)
            if request.transport is not None:
                request.transport.abort()
        return answer

    async def _read_part(self, response: aiohttp.ClientResponse) -> bytes:
        async with asyncio.timeout(self._limits.response):
            return await response.content.readany()

    def _refuse(self, status: int, ray: str) -> web.Response:
        headers, page = edge.build_error(status, ray)
        answer = web.Response(status=status, headers=headers, text=page)
        if status == _TIMED_OUT:
            answer.set_status(status, "A Timeout Occurred")
        answer.force_close()
        return answer


async def _drop_invented_type(_request: web.Request, response: web.StreamResponse) -> None:
    """Take back the Content-Type that aiohttp adds where the origin gave none."""
    if response.get("origin names a type") is False:
        response.headers.popall("Content-Type", None)

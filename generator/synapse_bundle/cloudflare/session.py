"""Cloudflare's API over HTTP: envelope, pages, errors, retries. The only module with httpx.

Source: "Make API calls" and "Rate limits" of the Cloudflare Fundamentals documentation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from .. import __version__
from ..errors import SettingsError
from .refusals import CloudflareError, UncertainError

_API: Final = "https://api.cloudflare.com/client/v4"
_TIMEOUT: Final = 60.0  # seconds for one answer; uploading a Worker takes a few
_PAUSES: Final = (1, 2, 4, 8, 16)  # seconds between attempts
_LONGEST_PAUSE: Final = 300  # seconds; the limit of 1,200 requests is counted over five minutes
_PAGE: Final = 50
_SAFE_TO_REPEAT: Final = frozenset({"GET", "PUT", "PATCH", "DELETE"})

Report = Callable[[str], None]


class Session:
    """Speaks to the API with one token, which goes into the Authorization header and nowhere else.

    `report` gets a sentence before each wait; `transport` and `sleep` are for tests.
    """

    def __init__(
        self,
        token: str,
        *,
        report: Report,
        base_url: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._token = token
        self._report = report
        self._sleep = sleep
        self._transport = transport
        self._base_url = base_url or choose_address()
        self._http = _open_http(token, transport)

    def change_token(self, token: str) -> Session:
        """Return a session with the same API and another token."""
        return Session(
            token,
            report=self._report,
            base_url=self._base_url,
            transport=self._transport,
            sleep=self._sleep,
        )

    def wait(self, seconds: float, reason: str) -> None:
        """Sleep, after saying why."""
        self._report(f"{reason}; waiting {seconds:.0f} s")
        self._sleep(seconds)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the result of one GET."""
        return self.request("GET", path, query=query)["result"]

    def find(self, path: str, query: Mapping[str, str] | None = None) -> Any | None:
        """Return the result of one GET, or None if it does not exist."""
        try:
            return self.get(path, query)
        except CloudflareError as error:
            if error.missing:
                return None
            raise

    def list(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """Yield the items of all pages.

        A page that is not full is the last one; not every list says how many pages there are.
        """
        page, pages = 1, 0
        while not pages or page <= pages:
            part = {**(query or {}), "page": str(page), "per_page": str(_PAGE)}
            document = self.request("GET", path, query=part)
            items, info = document["result"] or [], document.get("result_info") or {}
            yield from items
            pages = int(info.get("total_pages") or 0)
            if len(items) < min(_PAGE, int(info.get("per_page") or _PAGE)):
                return
            page += 1

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        files: Any = None,
        repeatable: bool = False,
    ) -> Any:
        """Return the result of a request that changes something.

        A POST is sent again only if it certainly had no effect, unless it is `repeatable`;
        raises UncertainError if that is not known.
        """
        document = self.request(method, path, body, query=query, files=files, repeatable=repeatable)
        return document["result"]

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        files: Any = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """Return the envelope of a successful answer, after a limited number of attempts."""
        again = repeatable or method in _SAFE_TO_REPEAT
        for pause in (*_PAUSES, None):
            try:
                answer = self._http.request(
                    method, f"{self._base_url}{path}", json=body, params=query, files=files
                )
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                self._pause(pause, f"Cloudflare cannot be reached ({self._redact(str(error))})")
            except httpx.TransportError as error:
                reason = f"Cloudflare's answer was lost ({type(error).__name__})"
                self._pause(pause if again else None, reason, certain=again)
            else:
                status = answer.status_code
                if status == HTTPStatus.TOO_MANY_REQUESTS:
                    self._pause(
                        _read_pause(answer, pause), "Cloudflare limits the rate of requests"
                    )
                elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    reason = f"Cloudflare had an internal error (HTTP {status})"
                    self._pause(pause if again else None, reason, certain=again)
                else:
                    return self._unwrap(answer, method, path)
        raise AssertionError(method)

    def _pause(self, pause: float | None, reason: str, *, certain: bool = True) -> None:
        if pause is None:
            kind = CloudflareError if certain else UncertainError
            raise kind(f"{reason}; run the command again")
        self.wait(pause, reason)

    def _unwrap(self, answer: httpx.Response, method: str, path: str) -> dict[str, Any]:
        if answer.is_success and not answer.content:
            return {"result": None}  # some deletions answer by their status alone
        try:
            document = answer.json()
            if document["success"]:
                return dict(document)
            errors = document["errors"]
            codes = [int(error["code"]) for error in errors]
            words = "; ".join(f"{error['message']} (code {error['code']})" for error in errors)
        except (ValueError, KeyError, TypeError):
            codes, words = [], f"not an answer of the API (HTTP {answer.status_code})"
        raise CloudflareError(
            self._redact(f"Cloudflare refused {method} {path}: {words}"),
            status=answer.status_code,
            codes=codes,
        )

    def _redact(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self._token, "[token]")


def _open_http(token: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Return an HTTP client; raises SettingsError if the environment names an unusable proxy."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"synapse-bundle/{__version__}"}
    try:
        return httpx.Client(transport=transport, timeout=_TIMEOUT, headers=headers)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"The proxy in the environment cannot be used: {error}") from error


def choose_address() -> str:
    """Return the API's address: Cloudflare's, or CLOUDFLARE_BASE_URL as Cloudflare's SDKs take it.

    Raises SettingsError for one to which the token would go unencrypted over a network.
    """
    chosen = os.environ.get("CLOUDFLARE_BASE_URL", "").rstrip("/") or _API
    try:
        url = urlsplit(chosen)
        httpx.URL(chosen)
    except (ValueError, httpx.InvalidURL) as error:
        raise SettingsError(f"CLOUDFLARE_BASE_URL is not a URL: {error}") from error
    here = url.hostname in {"127.0.0.1", "localhost", "::1"}
    if not url.hostname or (url.scheme != "https" and not (url.scheme == "http" and here)):
        raise SettingsError(
            "CLOUDFLARE_BASE_URL must be an https URL, because the token is sent to it"
        )
    return chosen


def _read_pause(answer: httpx.Response, pause: float | None) -> float | None:
    """Return how many seconds to wait before the next attempt, None if there is none."""
    asked = answer.headers.get("Retry-After", "")
    if pause is None or not asked.isdecimal():
        return pause
    return min(max(float(asked), pause), _LONGEST_PAUSE)

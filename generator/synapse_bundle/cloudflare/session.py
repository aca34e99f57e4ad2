"""Cloudflare's API over HTTP: envelope, pages, errors, patience. The only module with httpx.

Source: "Make API calls" and "Rate limits" of the Cloudflare Fundamentals documentation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from .. import __version__
from ..errors import BundleError, SettingsError

API: Final = "https://api.cloudflare.com/client/v4"
TIMEOUT: Final = 60.0  # seconds for one answer; uploading a Worker takes a few
PAUSES: Final = (1, 2, 4, 8, 16)  # seconds between attempts
LONGEST_PAUSE: Final = 300  # seconds; the limit of 1,200 requests is counted over five minutes
PAGE: Final = 50
FORBIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# "Authentication error", "Unauthorized to access requested resource", "Invalid request headers".
DENIALS: Final = frozenset({10000, 9109, 6003})
SAFE_TO_REPEAT: Final = frozenset({"GET", "PUT", "PATCH", "DELETE"})

Tell = Callable[[str], None]


class CloudflareError(BundleError):
    """Cloudflare refused a request: its HTTP status, error codes and words."""

    def __init__(self, message: str, *, status: int = 0, codes: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = frozenset(codes)

    @property
    def elsewhere(self) -> bool:
        """Whether the token serves from other addresses only; that has the code of a denial."""
        return "from location" in self.message

    @property
    def denied(self) -> bool:
        """Whether the token lacks the permission; other refusals have their own words."""
        return bool(self.codes & DENIALS) and not self.elsewhere

    @property
    def refused(self) -> bool:
        """Whether Cloudflare itself said no: it was reached, and nothing was done."""
        return bool(self.codes)

    @property
    def missing(self) -> bool:
        """Whether what was asked for does not exist."""
        return self.status == HTTPStatus.NOT_FOUND


class UncertainError(CloudflareError):
    """The answer to a request was lost: it may have taken effect or not."""


class Client:
    """Speaks to the API with one token, which goes into the Authorization header and nowhere else.

    `tell` is given a sentence before each wait; `transport` and `sleep` are for tests.
    """

    def __init__(
        self,
        token: str,
        *,
        tell: Tell,
        base_url: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._token = token
        self._tell = tell
        self._sleep = sleep
        self._transport = transport
        self._base_url = base_url or choose_address()
        self._http = open_http(token, transport)

    def change_token(self, token: str) -> Client:
        """Return a client for the same API with another token."""
        return Client(
            token,
            tell=self._tell,
            base_url=self._base_url,
            transport=self._transport,
            sleep=self._sleep,
        )

    def wait(self, seconds: float, reason: str) -> None:
        """Sleep, after saying why."""
        self._tell(f"{reason}; waiting {seconds:.0f} s")
        self._sleep(seconds)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the result of one GET."""
        return self.request("GET", path, query=query)["result"]

    def find(self, path: str, query: Mapping[str, str] | None = None) -> Any | None:
        """Return the result of one GET, or None where there is no such thing."""
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
            part = {**(query or {}), "page": str(page), "per_page": str(PAGE)}
            document = self.request("GET", path, query=part)
            items, info = document["result"] or [], document.get("result_info") or {}
            yield from items
            pages = int(info.get("total_pages") or 0)
            if len(items) < min(PAGE, int(info.get("per_page") or PAGE)):
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

        A POST is sent again only where it certainly had no effect, unless it is `repeatable`;
        raises UncertainError where that is not known.
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
        """Return the envelope of a successful answer, after as many attempts as it is worth."""
        again = repeatable or method in SAFE_TO_REPEAT
        for pause in (*PAUSES, None):
            try:
                answer = self._http.request(
                    method, f"{self._base_url}{path}", json=body, params=query, files=files
                )
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                self._pause(pause, f"Cloudflare cannot be reached ({self.redact(str(error))})")
            except httpx.TransportError as error:
                reason = f"Cloudflare's answer was lost ({type(error).__name__})"
                self._pause(pause if again else None, reason, certain=again)
            else:
                status = answer.status_code
                if status == HTTPStatus.TOO_MANY_REQUESTS:
                    self._pause(read_pause(answer, pause), "Cloudflare asks for fewer requests")
                elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    reason = f"Cloudflare has an error of its own (HTTP {status})"
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
            codes, words = [], f"no answer of the API but HTTP {answer.status_code}"
        raise CloudflareError(
            self.redact(f"Cloudflare refused {method} {path}: {words}"),
            status=answer.status_code,
            codes=codes,
        )

    def redact(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self._token, "[token]")


def open_http(token: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Return an HTTP client; raises SettingsError where the environment names an unusable proxy."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"synapse-bundle/{__version__}"}
    try:
        return httpx.Client(transport=transport, timeout=TIMEOUT, headers=headers)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"The proxy in the environment cannot be used: {error}") from error


def choose_address() -> str:
    """Return the API's address: Cloudflare's, or CLOUDFLARE_BASE_URL as Cloudflare's SDKs take it.

    Raises SettingsError for one that would carry the token in clear over a network.
    """
    chosen = os.environ.get("CLOUDFLARE_BASE_URL", "").rstrip("/") or API
    try:
        url = urlsplit(chosen)
        httpx.URL(chosen)
    except (ValueError, httpx.InvalidURL) as error:
        raise SettingsError(f"CLOUDFLARE_BASE_URL is not an address: {error}") from error
    here = url.hostname in {"127.0.0.1", "localhost", "::1"}
    if not url.hostname or (url.scheme != "https" and not (url.scheme == "http" and here)):
        raise SettingsError("CLOUDFLARE_BASE_URL must be an https address; the token goes there")
    return chosen


def read_pause(answer: httpx.Response, pause: float | None) -> float | None:
    """Return how many seconds to wait before the next attempt, None where there is none."""
    asked = answer.headers.get("Retry-After", "")
    if pause is None or not asked.isdecimal():
        return pause
    return min(max(float(asked), pause), LONGEST_PAUSE)

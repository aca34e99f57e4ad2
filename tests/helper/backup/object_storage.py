"""A double of S3: moto's storage behind a check of every signature (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY_ID = "AKIATESTTESTTESTTEST"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


class ObjectStorage:
    """Object storage, on the loopback unless told otherwise, that answers only what is signed with `secret`."""

    def __init__(self, secret: str, address: str = "127.0.0.1") -> None:
        self._secret = secret
        self._storage = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(address, 0, self._answer, threaded=True)
        self.port = self._server.server_port
        self.answered = self.refused = 0

    def create_bucket(self, name: str) -> None:
        """Make a bucket, as its owner does before a repository can be in it."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(name, "us-east-1")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not self._is_signed(environ):
            self.refused += 1
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"]
        self.answered += 1
        found: Iterable[bytes] = self._storage(environ, start)
        return found

    def _is_signed(self, environ: dict[str, Any]) -> bool:
        match = _AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if not match or match[1] != KEY_ID:
            return False
        _, day, region, names, signature = match.groups()
        parts = urlsplit(environ["RAW_URI"])
        query = sorted(parse_qsl(parts.query, keep_blank_values=True))
        canonical = [
            environ["REQUEST_METHOD"],
            parts.path,
            "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query),
            *(f"{name}:{_read_header(environ, name)}" for name in names.split(";")),
            "",
            names,
            environ["HTTP_X_AMZ_CONTENT_SHA256"],
        ]
        hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        scope = f"{day}/{region}/s3/aws4_request"
        signed = "\n".join(["AWS4-HMAC-SHA256", environ["HTTP_X_AMZ_DATE"], scope, hashed])
        key = f"AWS4{self._secret}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(hmac.digest(key, signed.encode(), "sha256").hex(), signature)


def _read_header(environ: dict[str, Any], name: str) -> str:
    variable = name.upper().replace("-", "_")
    plain = {"CONTENT_TYPE", "CONTENT_LENGTH"}
    return str(environ.get(variable if variable in plain else f"HTTP_{variable}", "")).strip()

"""What a DNS-01 client needs of Cloudflare's API; a test is told of everything else that it sends.

Source: what certbot-dns-cloudflare 5.8 sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.fake_cloudflare.endpoints import FakeRequest, StrangeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.fake_cloudflare.api import Check

_FIELDS: Final = {"type", "name", "content", "ttl"}


def require_name(request: FakeRequest) -> None:
    """Refuse to list every zone."""
    if "name" not in request.query:
        raise StrangeError("no name of a zone")


def require_txt(request: FakeRequest) -> None:
    """Refuse every record but a TXT of four fields."""
    body = request.body
    if isinstance(body, dict) and (set(body) != _FIELDS or body["type"] != "TXT"):
        raise StrangeError(f"not a TXT record as expected: {body}", 400, 9005)


def accept(_: FakeRequest) -> None:
    """Refuse nothing more."""


# The endpoints that there are, by their names in the API.
CHECKS: Final[Mapping[str, Check]] = {
    "GET /zones": require_name,
    "GET /zones/{zone}/dns_records": accept,
    "POST /zones/{zone}/dns_records": require_txt,
    "DELETE /zones/{zone}/dns_records/{record}": accept,
}

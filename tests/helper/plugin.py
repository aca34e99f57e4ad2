"""Drives certbot's Cloudflare plugin in the image, without a network: every request and every error.

Ends with an AssertionError if the SDK lacks a module or holds one that nothing reaches.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any, Final

import cloudflare
import httpx
from certbot import errors
from certbot_dns_cloudflare._internal import dns_cloudflare

RECORD: Final = {"id": "record", "type": "TXT", "name": "name", "content": "content"}
STATUSES: Final = (400, 401, 403, 404, 409, 429, 502)


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as Cloudflare does: one zone, one record, and nothing on any further page."""
    result: Any = RECORD
    if request.method == "GET":
        found = (
            {"id": "zone", "name": "example.org"} if request.url.path.endswith("/zones") else RECORD
        )
        result = [found] if request.url.params.get("page", "1") == "1" else []
    page = {"page": 1, "per_page": 1, "count": 1, "total_count": 1}
    body = {"success": True, "errors": [], "messages": [], "result": result, "result_info": page}
    return httpx.Response(200, json=body)


def refuse(status: int) -> httpx.Response:
    """Answer with an error of Cloudflare's."""
    return httpx.Response(
        status, json={"success": False, "errors": [{"code": 9109}], "result": None}
    )


def lose(request: httpx.Request) -> httpx.Response:
    """Let the connection fail."""
    raise httpx.ConnectTimeout("nobody answers", request=request)


def connect(transport: httpx.MockTransport) -> Any:
    """Return the plugin's client on a transport."""
    client = dns_cloudflare._CloudflareClient(api_token="token")
    client.cf = cloudflare.Cloudflare(
        api_token="token",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
    )
    return client


def try_errors() -> None:
    """Let each kind of request fail in each way; the plugin has to tell it."""
    transports = [httpx.MockTransport(lambda _, s=status: refuse(s)) for status in STATUSES]
    for transport in (*transports, httpx.MockTransport(lose)):
        client = connect(transport)
        for ask in (
            lambda client=client: client.add_txt_record("example.org", "name", "content", 60),
            lambda client=client: client._find_zone_id("example.org"),
        ):
            try:
                ask()  # type: ignore[no-untyped-call]
            except errors.PluginError:
                continue
            raise AssertionError("an error was not told")
        client.del_txt_record("example.org", "name", "content")
        print("told an error")


def find_parts() -> set[str]:
    """Return the parts of the SDK that are there, such as `types.dns`."""
    root = Path(cloudflare.__file__).parent
    return {
        f"{kind}.{module.name}"
        for kind in ("resources", "types")
        for module in pkgutil.iter_modules([str(root / kind)])
    }


client = connect(httpx.MockTransport(answer))
client.add_txt_record("example.org", "name", "content", 60)
client.del_txt_record("example.org", "name", "content")
print("wrote and removed a record")
try_errors()
surplus = find_parts() - {".".join(name.split(".")[1:3]) for name in sys.modules}
assert not surplus, f"nothing reaches {sorted(surplus)}"
for module in pkgutil.walk_packages(cloudflare.__path__, "cloudflare."):
    importlib.import_module(module.name)
print("nothing surplus")

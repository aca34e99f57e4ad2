"""The cluster's DNS: names of Services and of their pods, answered from a copy of what the API server holds.

As CoreDNS does it, which keeps its copy by watches: a name is found however busy the API server is.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from tests.lab.kubernetes.cluster_paths import DOMAIN

if TYPE_CHECKING:
    from tests.lab.kubernetes.api_client import ApiClient

_A: Final = 1
_TTL: Final = 5
_AUTHORITATIVE_ANSWER: Final = 0x8400
_RECURSION_DESIRED: Final = 0x0100
_NO_SUCH_NAME: Final = 3
_SERVER_FAILURE: Final = 2
_KINDS: Final = ("services", "endpoints")
_PAUSE: Final = 0.5


class ServiceCopy:
    """The Services of all namespaces and the endpoints behind them, as watches report them."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._objects: dict[str, dict[str, Any]] = {}

    def find(self, path: str) -> Any:
        """Return an object, or None where there is none; LookupError before its kind was listed."""
        return self._objects[path.split("/")[-2]].get(path)

    def keep(self, kind: str) -> None:
        """List a kind, and follow its changes until the API server ends that."""
        collection = f"/api/v1/{kind}"
        items, since = self._api.list_all(collection)
        self._objects[kind] = {_locate(kind, item): item for item in items}
        for change, item in self._api.follow(collection, since):
            if change == "DELETED":
                self._objects[kind].pop(_locate(kind, item), None)
            else:
                self._objects[kind][_locate(kind, item)] = item

    def keep_on(self, kind: str) -> None:
        """Do so for ever."""
        while True:
            try:
                self.keep(kind)
            except (OSError, HTTPException, ValueError) as error:
                print(f"{kind} are listed again: {error!r}", flush=True)
            time.sleep(_PAUSE)


def _locate(kind: str, item: Any) -> str:
    metadata = item["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/{kind}/{metadata['name']}"


def read_question(query: bytes) -> tuple[str, int, int]:
    """Return name, type and end of a query's one question (RFC 1035, 4.1.2)."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels).lower(), kind, position + 5


def write_answer(query: bytes, code: int, addresses: list[str]) -> bytes:
    """Return the answer to a query, with an A record for each address."""
    end = read_question(query)[2]
    number, flags = struct.unpack_from("!HH", query)
    flags = _AUTHORITATIVE_ANSWER | (flags & _RECURSION_DESIRED) | code
    head = struct.pack("!HHHHHH", number, flags, 1, len(addresses), 0, 0)
    records = [
        # 0xC00C points at the question's name.
        struct.pack("!HHHIH", 0xC00C, _A, 1, _TTL, 4) + ipaddress.IPv4Address(address).packed
        for address in addresses
    ]
    return head + query[12:end] + b"".join(records)


def find_addresses(services: ServiceCopy, name: str) -> list[str] | None:
    """Return the addresses of SERVICE.NAMESPACE.svc or of a pod below it; None for no such name."""
    if not name.endswith(f".svc.{DOMAIN}"):
        return None
    labels = name.removesuffix(f".svc.{DOMAIN}").split(".")
    if len(labels) not in {2, 3}:
        return None
    *pod, service, namespace = labels
    core = f"/api/v1/namespaces/{namespace}"
    found = services.find(f"{core}/services/{service}")
    if found is None:
        return None
    address = found["spec"].get("clusterIP")
    if not pod and address != "None":
        return [address]
    members = list_members(services.find(f"{core}/endpoints/{service}") or {})
    if pod:
        return [m["ip"] for m in members if m.get("hostname") == pod[0]] or None
    return [member["ip"] for member in members]


def list_members(endpoints: Any) -> list[Any]:
    """Return the ready addresses behind a Service."""
    return [item for part in endpoints.get("subsets") or [] for item in part.get("addresses") or []]


def answer(services: ServiceCopy, query: bytes) -> bytes:
    """Return the answer to a query."""
    name, kind, _ = read_question(query)
    try:
        addresses = find_addresses(services, name)
    except LookupError:
        return write_answer(query, _SERVER_FAILURE, [])
    if addresses is None:
        return write_answer(query, _NO_SUCH_NAME, [])
    return write_answer(query, 0, addresses if kind == _A else [])


def serve_names(api: ApiClient, address: str) -> None:
    """Answer for ever."""
    services = ServiceCopy(api)
    for kind in _KINDS:
        threading.Thread(target=services.keep_on, args=(kind,), daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, client = server.recvfrom(1500)
            server.sendto(answer(services, query), client)

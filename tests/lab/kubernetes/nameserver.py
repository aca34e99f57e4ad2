"""The cluster's DNS: names of Services and of their pods, answered from the API server."""

from __future__ import annotations

import ipaddress
import socket
import struct
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


def find_addresses(api: ApiClient, name: str) -> list[str] | None:
    """Return the addresses of SERVICE.NAMESPACE.svc or of a pod below it; None for no such name."""
    if not name.endswith(f".svc.{DOMAIN}"):
        return None
    labels = name.removesuffix(f".svc.{DOMAIN}").split(".")
    if len(labels) not in {2, 3}:
        return None
    *pod, service, namespace = labels
    core = f"/api/v1/namespaces/{namespace}"
    found = api.find(f"{core}/services/{service}")
    if found is None:
        return None
    address = found["spec"].get("clusterIP")
    if not pod and address != "None":
        return [address]
    members = list_members(api.find(f"{core}/endpoints/{service}") or {})
    if pod:
        return [m["ip"] for m in members if m.get("hostname") == pod[0]] or None
    return [member["ip"] for member in members]


def list_members(endpoints: Any) -> list[Any]:
    """Return the ready addresses behind a Service."""
    return [item for part in endpoints.get("subsets") or [] for item in part.get("addresses") or []]


def answer(api: ApiClient, query: bytes) -> bytes:
    """Return the answer to a query."""
    name, kind, _ = read_question(query)
    try:
        addresses = find_addresses(api, name)
    except OSError:
        return write_answer(query, _SERVER_FAILURE, [])
    if addresses is None:
        return write_answer(query, _NO_SUCH_NAME, [])
    return write_answer(query, 0, addresses if kind == _A else [])


def serve_names(api: ApiClient, address: str) -> None:
    """Answer for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, client = server.recvfrom(1500)
            server.sendto(answer(api, query), client)

"""A request to a Worker and its answer, whatever runs the Worker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A module, and the host name that its requests are for."""

    name: str
    host: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sends; the target is the path with its query, as it stands on the wire."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What it gets; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body's JSON object."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Visitor(Protocol):
    """Puts requests to Workers."""

    def visit(self, worker: Worker, request: Request) -> Answer:
        """Return what the Worker answers."""


def join_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name; one that came twice has both values, as HTTP reads them."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined

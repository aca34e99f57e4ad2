"""A Worker, a request to it, and what runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Protocol

from tests.support.http import Answer


@dataclass(frozen=True, kw_only=True)
class WorkerModule:
    """A Worker's source, and the host name that its requests are for."""

    name: str
    host: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sends; the target is the path with its query, byte for byte."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


class Runtime(Protocol):
    """Runs Workers."""

    def fetch(self, worker: WorkerModule, request: Request) -> Answer:
        """Return what the Worker answers."""


def join_headers(pairs: Iterable[tuple[str, str]]) -> HTTPMessage:
    """Return headers by name; one that came twice has both values, as HTTP reads them."""
    joined = HTTPMessage()
    for name, value in pairs:
        before = joined[name]
        del joined[name]
        joined[name] = f"{before}, {value}" if before is not None else value
    return joined

"""A client of the API server, made of the standard library alone."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tests.lab.kubernetes.cluster_paths import API

if TYPE_CHECKING:
    from tests.lab.kubernetes.cluster_paths import ClusterPaths

_TIMEOUT: Final = 10.0


class ApiClient:
    """The administrator's requests to the node's API server."""

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths = paths
        self._context: ssl.SSLContext | None = None

    def _open(self, method: str, path: str, body: object, timeout: float | None) -> Any:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=str(self._paths.certificate))
        request = urllib.request.Request(
            API + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._paths.read_token()}",
                "Content-Type": "application/json",
            },
        )
        return urllib.request.urlopen(request, timeout=timeout, context=self._context)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer's object; raises OSError, HTTPError among them, when refused."""
        with self._open(method, path, body, _TIMEOUT) as answer:
            return json.load(answer)

    def find(self, path: str) -> Any:
        """Return an object, or None where there is none."""
        try:
            return self.ask("GET", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def settle(self, method: str, path: str, body: object = None) -> None:
        """Create what may exist, or delete what may be gone."""
        try:
            self.ask(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code not in {404, 409}:
                raise

    def is_ready(self) -> bool:
        """Return whether the server answers and is ready."""
        try:
            with self._open("GET", "/readyz", None, _TIMEOUT) as answer:
                return bool(answer.status == 200)
        except (OSError, ssl.SSLError):
            return False

    def list_all(self, path: str) -> tuple[list[Any], str]:
        """Return the objects of a collection, and the version that they had together."""
        listing = self.ask("GET", path)
        return listing["items"], listing["metadata"]["resourceVersion"]

    def follow(self, path: str, since: str) -> Iterator[tuple[str, Any]]:
        """Yield (type, object) of every change of a collection after a version, until the server ends it."""
        with self._open("GET", f"{path}?watch=1&resourceVersion={since}", None, None) as stream:
            for line in stream:
                event = json.loads(line)
                # The version is too old: what happened since then has to be listed.
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    def watch(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yield (type, object) of what there is and of every change, until the server ends it."""
        items, since = self.list_all(path)
        for item in items:
            yield "ADDED", item
        yield from self.follow(path, since)

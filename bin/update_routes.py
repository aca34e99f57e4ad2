"""Update what is known of Synapse's workers from the pinned image itself. `make routes` runs it.

It writes tests/routing/registry.json, what the main process and a worker serve by Synapse's own word,
and from that generator/synapse_bundle/routes.toml, what Apache gives to a worker. Needs Docker.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
import tomlkit

from synapse_bundle.errors import BundleError
from synapse_bundle.images import read_pins
from synapse_bundle.routes import ANY, ROUTES

REPOSITORY: Final = Path(__file__).parents[1]
REGISTRY: Final = REPOSITORY / "tests" / "routing" / "registry.json"
SCRIPT: Final = REPOSITORY / "bin" / "synapse_registry.py"
HEADER: Final = (
    "Which requests a worker of this Synapse may answer, by method: the source of Apache's rules.",
    "`make routes` writes this file from the registry of the pinned image; bin/update_routes.py names",
    "what stays with the main process all the same.",
)
# Docs of Synapse, "Stream writers": these write to a stream whose only writer is the main process.
WRITES: Final = ("POST", "PUT", "DELETE")
WRITERS: Final = frozenset(
    {
        "AccountDataServlet",
        "PresenceStatusRestServlet",
        "ReadMarkerRestServlet",
        "ReceiptRestServlet",
        "RoomAccountDataServlet",
        "RoomTypingRestServlet",
        "SendToDeviceRestServlet",
        "TagServlet",
    }
)
# A worker registers them, but Synapse's documentation of workers does not name them: some need the
# media repository, and all are rare.
UNDOCUMENTED: Final = frozenset({
    "AppservicePingRestServlet",
    "EventRestServlet",
    "FederationClientKeysClaimServlet",
    "FederationClientKeysQueryServlet",
    "FederationMediaDownloadServlet",
    "FederationMediaThumbnailServlet",
    "On3pidBindServlet",
    "OpenIdUserInfo",
    "RestartDelayedEventServlet",
    "RoomComplexityServlet",
})  # fmt: skip
# Pagination of one room belongs to one process (Synapse's docs/workers.md).
BY_ROOM: Final = frozenset({"RoomMessageListRestServlet"})
# Whoever makes a message, the main process writes it: pools.py decides who makes it.
MESSAGES: Final = frozenset({"RoomSendEventRestServlet"})

Entry = tuple[str, str, str]


def main() -> int:
    """Write both files; return the exit code."""
    pin = read_pins()["synapse"]
    try:
        registry = read_registry(pin.reference)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    REGISTRY.write_text(format_registry(pin.tag, registry), encoding="utf-8")
    ROUTES.write_text(format_routes(pin.tag, registry), encoding="utf-8")
    return 0


def read_registry(image: str) -> dict[str, list[Entry]]:
    """Return (method, pattern, servlet) of both kinds of process; raises BundleError."""
    command = ["docker", "run", "--rm", "--interactive", "--network=none", "--entrypoint=python3"]
    try:
        done = subprocess.run(
            [*command, image, "-"],
            input=SCRIPT.read_text(encoding="utf-8"),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BundleError("Docker is not installed here.") from None
    if done.returncode:
        raise BundleError(f"{image}: {done.stderr.strip() or 'no answer'}")
    return {
        name: [(method, pattern, servlet) for method, pattern, servlet in entries]
        for name, entries in json.loads(done.stdout).items()
    }


def format_registry(version: str, registry: Mapping[str, Iterable[Entry]]) -> str:
    """Return the registry as JSON, an entry a line: a new version shows its difference."""
    parts = [f'"synapse": {json.dumps(version)}']
    for name, entries in registry.items():
        lines = ",\n".join(json.dumps(entry) for entry in entries)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def format_routes(version: str, registry: Mapping[str, list[Entry]]) -> str:
    """Return the routing table as TOML."""
    document = tomlkit.document()
    for line in HEADER:
        document.add(tomlkit.comment(line))
    document.add("synapse", tomlkit.item(version))
    for key, servlets in (("by_room", BY_ROOM), ("messages", MESSAGES)):
        chosen = (route for route in _find_routes(registry) if route[2] in servlets)
        document.add(key, _list_patterns(chosen))
    routes = tomlkit.table()
    by_methods: dict[str, list[Entry]] = {}
    for route in _find_routes(registry):
        by_methods.setdefault(route[0], []).append(route)
    for methods, found in sorted(by_methods.items()):
        routes.add(methods, _list_patterns(found))
    document.add("routes", routes)
    return tomlkit.dumps(document)


def _find_routes(registry: Mapping[str, list[Entry]]) -> Iterator[Entry]:
    """Yield (methods, pattern, servlet) of what workers may answer, methods joined by commas."""
    served = {(method, pattern): servlet for method, pattern, servlet in registry["worker"]}
    for pattern in dict.fromkeys(pattern for _, pattern, _ in registry["main"]):
        everything = {method for method, each, _ in registry["main"] if each == pattern}
        taken = {m for m in everything if (m, pattern) in served and _may_move(m, pattern, served)}
        if taken:
            servlet = served[min(taken), pattern]
            methods = ANY if taken == everything else ",".join(sorted(taken))
            yield methods, simplify(pattern), servlet


def _may_move(method: str, pattern: str, served: Mapping[tuple[str, str], str]) -> bool:
    servlet = served[method, pattern]
    stays = servlet in UNDOCUMENTED or (servlet in WRITERS and method in WRITES)
    # Apache passes nothing else on.
    return pattern.startswith("^/_matrix/") and not stays


def _list_patterns(routes: Iterable[Entry]) -> tomlkit.items.Array:
    patterns = tomlkit.array()
    patterns.extend(sorted(pattern for _, pattern, _ in routes))
    return patterns.multiline(multiline=True)


def simplify(pattern: str) -> str:
    """Return a pattern without the names of its groups, which Apache has no use for."""
    bare = re.sub(r"\(\?P<\w+>(\[\^/\][*+]|\.[*+])\)", r"\1", pattern)
    return re.sub(r"\(\?P<\w+>", "(", bare)


if __name__ == "__main__":
    sys.exit(main())

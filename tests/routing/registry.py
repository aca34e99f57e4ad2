"""What each kind of Synapse's processes serves, by Synapse's own word: the golden registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REGISTRY: Final = Path(__file__).with_name("registry.json")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The patterns of one kind of process in the order in which Synapse tries them.

    Each has the servlets of its methods.
    """

    patterns: Mapping[str, Mapping[str, str]]

    def find_servlet(self, method: str, path: str) -> str | None:
        """Return what answers a request: Synapse takes the first pattern that matches the path."""
        for pattern, servlets in self.patterns.items():
            if re.match(pattern, path):
                return servlets.get("GET" if method == "HEAD" else method)
        return None


def read_registry(kind: str) -> Registry:
    """Return the registry of `main` or `worker`."""
    patterns: dict[str, dict[str, str]] = {}
    for method, pattern, servlet in json.loads(REGISTRY.read_text(encoding="utf-8"))[kind]:
        patterns.setdefault(pattern, {})[method] = servlet
    return Registry(patterns=patterns)


def read_version() -> str:
    """Return the version of Synapse that the golden is of."""
    return str(json.loads(REGISTRY.read_text(encoding="utf-8"))["synapse"])

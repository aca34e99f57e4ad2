"""The Cloudflare Worker of a server: its name in the account, its route, its runtime."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

# Cloudflare's runtime stays as it was on this day; tests/worker/package.json has it.
COMPATIBILITY_DATE: Final = "2026-11-17"


@dataclass(frozen=True, kw_only=True)
class WorkerDeployment:
    """The Cloudflare Worker: its name in the account, the route it answers, the runtime it is for."""

    script: str
    route: str
    compatibility_date: str


def place_worker(server_name: str) -> WorkerDeployment:
    """Return the Worker of a server name.

    A dot becomes a hyphen and a hyphen two, so that no two server names share a script; Cloudflare
    takes up to 63 characters. The route matches with any query, by http and https.
    """
    script = f"matrix-well-known-{server_name.replace('-', '--').replace('.', '-')}"
    if len(script) > 63:
        script = f"{script[:50]}-{hashlib.sha256(server_name.encode()).hexdigest()[:12]}"
    return WorkerDeployment(
        script=script,
        route=f"{server_name}/.well-known/matrix/*",
        compatibility_date=COMPATIBILITY_DATE,
    )

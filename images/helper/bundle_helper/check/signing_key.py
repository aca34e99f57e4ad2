"""The server's identity: the key it serves is the bundle's, and signs what it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from unpaddedbase64 import decode_base64

from ..exchange import Request
from ..federation.keys import TARGET, read_keys
from ..findings import Finding, failed, passed
from .front_door import apache, ask_through

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..settings.homeserver_settings import HomeserverSettings
    from ..settings.service_settings import ServiceSettings


def probe_signing(settings: ServiceSettings) -> Finding:
    """Fetch the keys as another server does, and verify them with the key of this bundle."""
    document = ask_through(apache(settings), Request(target=TARGET)).json()
    problems = list(find_problems(document, settings))
    if not problems:
        return passed(f"{key_id(settings)}, self-signature verified")
    return failed(
        "; ".join(problems),
        cause="Synapse runs with another identity than this bundle's secrets/signing.key",
        next_step="put the right signing key back, then `docker compose up -d --force-recreate"
        " synapse`; never make a new one for a name that has federated",
    )


def key_id(settings: HomeserverSettings) -> str:
    """Return the name of this bundle's signing key."""
    return settings.verify_key.partition(" ")[0]


def find_problems(document: dict[str, Any], settings: HomeserverSettings) -> Iterable[str]:
    """Yield what keeps a document of published keys from being this bundle's."""
    keys = read_keys(document, settings.server_name, time.time())
    yield from keys.problems
    own = keys.ed25519.get(key_id(settings))
    if own is None or own.public != decode_base64(settings.verify_key.partition(" ")[2]):
        yield f"{key_id(settings)} with this bundle's key is not among them"

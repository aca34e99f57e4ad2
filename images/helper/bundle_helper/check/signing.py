"""The server's identity: the key it serves is the bundle's, and signs what it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from signedjson.key import decode_verify_key_bytes
from signedjson.sign import SignatureVerifyException, verify_signed_json
from unpaddedbase64 import decode_base64

from ..exchange import Request
from .endpoints import apache, ask_through
from .result import Finding, failed, passed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..settings import ServiceSettings


def probe_signing(settings: ServiceSettings) -> Finding:
    """Fetch the keys as another server does, and verify them with the key of this bundle."""
    keys = ask_through(apache(settings), Request(target="/_matrix/key/v2/server")).json()
    problems = list(_problems(keys, settings, time.time() * 1000))
    key_id = settings.verify_key.partition(" ")[0]
    if not problems:
        return passed(f"{key_id}, self-signature verified")
    return failed(
        "; ".join(problems),
        cause="Synapse runs with another identity than this bundle's secrets/signing.key",
        next_step="put the right signing key back, then `docker compose up -d --force-recreate"
        " synapse`; never make a new one for a name that has federated",
    )


def _problems(keys: dict[str, Any], settings: ServiceSettings, now: float) -> Iterable[str]:
    """Yield what the rules for published keys forbid; `now` is in milliseconds since 1970."""
    key_id, _, wanted = settings.verify_key.partition(" ")
    if keys.get("server_name") != settings.server_name:
        yield f"the keys are for {keys.get('server_name')}"
    if not isinstance(keys.get("valid_until_ts"), int) or keys["valid_until_ts"] <= now:
        yield "they are not valid into the future"
    published = keys.get("verify_keys")
    entry = published.get(key_id) if isinstance(published, dict) else None
    if not isinstance(entry, dict) or entry.get("key") != wanted:
        yield f"{key_id} with this bundle's key is not among them"
        return
    try:
        verify = decode_verify_key_bytes(key_id, decode_base64(wanted))
        verify_signed_json(keys, settings.server_name, verify)
    except SignatureVerifyException:
        yield "their signature is not by this key"

"""Synapse, and what proves that it is this server: needed by everyone who asks it something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .environment import Secret


@dataclass(frozen=True, kw_only=True)
class HomeserverSettings:
    """Synapse at `synapse_url`, past Apache; `verify_key` is the public half of its signing key."""

    server_name: str
    homeserver: str
    synapse_url: str
    registration_shared_secret: Secret
    verify_key: str

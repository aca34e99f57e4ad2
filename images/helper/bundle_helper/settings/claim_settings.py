"""The settings of the claim to the server's name, and of the gate that opens with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

_NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class ClaimSettings:
    """Where the claim is remembered, and what opens and closes with it.

    `credential_file` is the tunnel's, None without a tunnel; `released_file` is where cloudflared reads
    it. Apache answers 503 while `stood_down_file` exists, and names the data by `instance_hash_file`.
    """

    directory: Path
    credential_file: Path | None
    released_file: Path
    stood_down_file: Path
    instance_hash_file: Path


def read_claim(environment: Environment) -> ClaimSettings | None:
    """Return the settings, noting problems; None for the trial, which has no name to claim."""
    directory = environment.optional_path("CLAIM_DIRECTORY", without=_NONE)
    if directory is None:
        return None
    return ClaimSettings(
        directory=directory,
        credential_file=environment.optional_file("TUNNEL_CREDENTIAL_FILE", without=_NONE),
        released_file=environment.path("RELEASED_CREDENTIAL_FILE"),
        stood_down_file=environment.path("STOOD_DOWN_FILE"),
        instance_hash_file=environment.path("INSTANCE_HASH_FILE"),
    )

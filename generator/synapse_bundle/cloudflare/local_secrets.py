"""The secrets in a bundle that Cloudflare issued: the tunnel's credential and the DNS token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from ..credentials import file_names, provided, tunnel_credential


@dataclass(frozen=True, kw_only=True)
class LocalSecrets:
    """A tunnel's credential by its account and tunnel id, and a DNS token; empty if missing."""

    account: str = ""
    tunnel: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, credential: str, token: str) -> LocalSecrets:
        """Read the text of both files; what is malformed counts as missing."""
        try:
            document = json.loads(tunnel_credential.read_credential(credential))
        except (ValueError, RecursionError):
            document = {"AccountTag": "", "TunnelID": ""}
        return cls(
            account=document["AccountTag"],
            tunnel=document["TunnelID"],
            token="" if provided.check_dns_token(token) else token,
        )


def read(bundle: Path) -> LocalSecrets:
    """Return the secrets of a bundle; what cannot be read counts as missing."""
    directory = bundle / file_names.DIRECTORY
    return LocalSecrets.parse(
        _read(directory / file_names.TUNNEL), _read(directory / file_names.TOKEN)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""

"""The secret that lets a connector run a tunnel, from a credentials file or a token file.

Source: connection/connection.go of cloudflared. No message here carries a value of the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tunnel_double import RefusalError

_SHORTEST_SECRET: Final = 32
_REQUIRED: Final = ("AccountTag", "TunnelSecret", "TunnelID")
# The API's answer to the creation of a tunnel carries TunnelName too; cloudflared ignores it.
_OPTIONAL: Final = ("Endpoint", "TunnelName")
_TOKEN_NAMES: Final = {"a": "AccountTag", "s": "TunnelSecret", "t": "TunnelID", "e": "Endpoint"}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Whose tunnel this is and the proof of it."""

    account: str
    tunnel: uuid.UUID
    secret: bytes = field(repr=False)


def read_credentials(path: Path) -> Credentials:
    """Return the content of a credentials file; raise RefusalError when it is not exactly one."""
    return _build_credentials(_parse_object(_read(path), f"credentials file {path}"), str(path))


def read_token(path: Path) -> Credentials:
    """Return the credentials inside a token file: base64 of a JSON object with short names."""
    where = f"token file {path}"
    try:
        text = base64.b64decode(_read(path).strip(), validate=True)
    except (binascii.Error, ValueError):
        msg = f"{where}: Provided Tunnel token is not valid: not base64"
        raise RefusalError(msg) from None
    short = _parse_object(text, where)
    return _build_credentials({_TOKEN_NAMES.get(k, k): v for k, v in short.items()}, str(path))


def parse_tunnel_id(text: str) -> uuid.UUID | None:
    """Return the tunnel's id, or None where the text is a name."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def check_tunnel(credentials: Credentials, reference: str) -> None:
    """Raise RefusalError when the credentials belong to another tunnel than the one asked for."""
    wanted = parse_tunnel_id(reference)
    if wanted is not None and wanted != credentials.tunnel:
        msg = f"the credentials are for tunnel {credentials.tunnel}, not for {wanted}"
        raise RefusalError(msg)


def _read(path: Path) -> bytes:
    if not path.is_file():
        msg = f"Tunnel credentials file '{path}' doesn't exist or is not a file"
        raise RefusalError(msg)
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"couldn't read tunnel credentials from {path}: {error.strerror}"
        raise RefusalError(msg) from None


def _parse_object(text: bytes, where: str) -> Mapping[str, object]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        msg = f"{where}: invalid JSON, an object was expected"
        raise RefusalError(msg)
    return content


def _build_credentials(content: Mapping[str, object], where: str) -> Credentials:
    problems = [f"{name} is missing" for name in _REQUIRED if name not in content]
    problems += [f"{n} is unknown" for n in content if n not in _REQUIRED + _OPTIONAL]
    problems += [f"{n} is not a string" for n, v in content.items() if not isinstance(v, str)]
    if not content.get("AccountTag", "-"):
        problems.append("AccountTag is empty")
    secret = _decode_secret(content.get("TunnelSecret"))
    if secret is None and "TunnelSecret" in content:
        problems.append(f"TunnelSecret is not base64 of {_SHORTEST_SECRET} bytes or more")
    tunnel = parse_tunnel_id(str(content.get("TunnelID", "")))
    if tunnel is None and "TunnelID" in content:
        problems.append("TunnelID is not a UUID")
    if problems or secret is None or tunnel is None:
        msg = f"{where}: {'; '.join(problems)}"
        raise RefusalError(msg)
    return Credentials(account=str(content["AccountTag"]), tunnel=tunnel, secret=secret)


def _decode_secret(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) >= _SHORTEST_SECRET else None

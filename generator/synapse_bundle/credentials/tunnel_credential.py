"""The two forms of a Cloudflare Tunnel's credential: a credentials file, and a token."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRET_BYTES: Final = 32
# Token and file hold the same values (cloudflared, connection/connection.go).
FIELDS: Final = {"AccountTag": "a", "TunnelSecret": "s", "TunnelID": "t", "Endpoint": "e"}


def read_credential(text: str) -> str:
    """Return a tunnel's credential as the JSON of a credentials file.

    Takes such a file, or a tunnel token, alone or in the command that the dashboard shows. Raises
    ValueError that never contains the credential.
    """
    is_file = text.lstrip().startswith("{")
    document = _parse(text, "is not JSON") if is_file else _decode_token(text)
    wrong = [
        name
        for name, valid in (
            ("AccountTag", re.fullmatch(r"[0-9a-f]{32}", str(document.get("AccountTag")))),
            ("TunnelID", _UUID.fullmatch(str(document.get("TunnelID")))),
            ("TunnelSecret", _is_secret(document.get("TunnelSecret"))),
        )
        if not valid
    ]
    if wrong:
        raise ValueError(f"has no valid {', '.join(wrong)}; copy all of it again")
    return text if is_file else json.dumps(document)


def _decode_token(text: str) -> dict[str, Any]:
    words = [word for word in text.split() if len(word) > 40]
    if len(words) != 1:
        raise ValueError("is neither a tunnel token nor a tunnel credentials file")
    try:
        decoded = base64.b64decode(words[0].strip("\"'"), validate=True).decode()
    except ValueError:
        raise ValueError("is cut short or was changed: a tunnel token is base64 of JSON") from None
    short = _parse(decoded, "is not a tunnel token: there is no JSON in it")
    return {name: short[letter] for name, letter in FIELDS.items() if letter in short}


def _parse(text: str, fault: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(fault) from None
    if not isinstance(document, dict):
        raise ValueError(fault)  # noqa: TRY004  # the text's fault, not the caller's
    return document


def _is_secret(value: object) -> bool:
    try:
        return len(base64.b64decode(str(value), validate=True)) >= SECRET_BYTES
    except ValueError:
        return False

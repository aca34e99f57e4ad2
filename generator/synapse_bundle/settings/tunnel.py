"""The Cloudflare Tunnel: its block of the settings, and the two forms of its credential."""

from __future__ import annotations

import base64
import json
import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator

from .block import Section
from .certificates import check_path

PROVIDER: Final = "cloudflare"
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRET_BYTES: Final = 32
# RFC 1918 and RFC 6598; other networks that are not public have a meaning of their own.
PRIVATE: Final = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
# Token and file hold the same values (cloudflared, connection/connection.go).
FIELDS: Final = {"AccountTag": "a", "TunnelSecret": "s", "TunnelID": "t", "Endpoint": "e"}


def _parse_subnet(value: Any) -> IPv4Network:
    try:
        subnet = IPv4Network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("is no IPv4 network; write one such as 10.200.0.0/29") from None
    if not any(map(subnet.subnet_of, PRIVATE)) or not 16 <= subnet.prefixlen <= 29:
        raise ValueError(
            "must be a network between /16 and /29"
            f" in {', '.join(map(str, PRIVATE[:-1]))} or {PRIVATE[-1]}"
        )
    return subnet


def read_word(value: Any) -> Any:
    """Return the block that the plain word `cloudflare` stands for; raises ValueError for another."""
    if not isinstance(value, str):
        return value
    if value != PROVIDER:
        raise ValueError(f"is not known; write {PROVIDER}, or a block with `credentials`")
    return {}


class Tunnel(Section):
    """The Cloudflare Tunnel through which the world reaches Apache.

    Without `credentials` the credential is the one in the bundle, where `cloudflare apply` and
    `tunnel import` put it.
    """

    credentials: Annotated[str, AfterValidator(check_path)] | None = None
    subnet: Annotated[IPv4Network, BeforeValidator(_parse_subnet)] | None = None


TunnelChoice = Annotated[Tunnel | None, BeforeValidator(read_word)]


def read_credential(text: str) -> str:
    """Return a tunnel's credential as the JSON of a credentials file.

    Takes such a file, or a tunnel token, alone or in the command that the dashboard shows. Raises
    ValueError with what is wrong; the credential itself is never in the message.
    """
    is_file = text.lstrip().startswith("{")
    document = _parse(text, "is no JSON") if is_file else _decode_token(text)
    wrong = [
        name
        for name, valid in (
            ("AccountTag", re.fullmatch(r"[0-9a-f]{32}", str(document.get("AccountTag")))),
            ("TunnelID", UUID.fullmatch(str(document.get("TunnelID")))),
            ("TunnelSecret", _is_secret(document.get("TunnelSecret"))),
        )
        if not valid
    ]
    if wrong:
        raise ValueError(f"has no valid {', '.join(wrong)}; copy it again, whole")
    return text if is_file else json.dumps(document)


def _decode_token(text: str) -> dict[str, Any]:
    words = [word for word in text.split() if len(word) > 40]
    if len(words) != 1:
        raise ValueError("is neither a tunnel token nor a tunnel credentials file")
    try:
        decoded = base64.b64decode(words[0].strip("\"'"), validate=True).decode()
    except ValueError:
        raise ValueError("is cut short or was changed: a tunnel token is base64 of JSON") from None
    short = _parse(decoded, "is no tunnel token: there is no JSON in it")
    return {name: short[letter] for name, letter in FIELDS.items() if letter in short}


def _parse(text: str, fault: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(fault) from None
    if not isinstance(document, dict):
        raise ValueError(fault)  # noqa: TRY004  # the text is at fault, not a caller
    return document


def _is_secret(value: object) -> bool:
    try:
        return len(base64.b64decode(str(value), validate=True)) >= SECRET_BYTES
    except ValueError:
        return False

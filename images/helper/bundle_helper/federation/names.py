"""Matrix server names: https://spec.matrix.org/latest/appendices/#server-name."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_SPLIT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL: Final = r"[A-Za-z0-9-]{1,63}"
_DNS_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DOTTED_NUMBERS: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_NAME: Final = 253
_HIGHEST_PORT: Final = 65535
_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, kw_only=True)
class ServerName:
    """A host, without brackets, and perhaps a port; `is_address` says that the host is an IP address."""

    text: str
    host: str
    port: int | None
    is_address: bool

    def __str__(self) -> str:
        """Return it as it was written, which is also what a Host header holds."""
        return self.text


def parse_server_name(text: str) -> ServerName:
    """Return a server name; ValueError says what keeps the text from being one."""
    parts = _SPLIT.fullmatch(text)
    if not parts:
        raise ValueError(_refusal(text, "it is not host or host:port"))
    host, port = parts[1], int(parts[2]) if parts[2] else None
    if port is not None and not 1 <= port <= _HIGHEST_PORT:
        raise ValueError(_refusal(text, f"ports end at {_HIGHEST_PORT}"))
    if host.startswith("[") or _DOTTED_NUMBERS.fullmatch(host):
        return _parse_address(text, host, port)
    if len(host) > _LONGEST_NAME or not _DNS_NAME.fullmatch(host):
        raise ValueError(_refusal(text, "the host is not a DNS name such as example.org"))
    return ServerName(text=text, host=host, port=port, is_address=False)


def _parse_address(text: str, host: str, port: int | None) -> ServerName:
    bare = host.strip("[]")
    try:
        # A zone (%eth0) is not part of the grammar.
        address = ipaddress.ip_address("" if "%" in bare else bare)
    except ValueError:
        raise ValueError(_refusal(text, "the host is not an IP address")) from None
    if (address.version == 6) is not host.startswith("["):
        raise ValueError(_refusal(text, "brackets are for IPv6 addresses, and only for them"))
    return ServerName(text=text, host=bare, port=port, is_address=True)


def _refusal(text: str, reason: str) -> str:
    return f"{shown(text)!r} is not a Matrix server name: {reason}"


def shown(text: str) -> str:
    """Return foreign text as a terminal may show it: short, on one line, without controls."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= _LONGEST_SHOWN else f"{clean[: _LONGEST_SHOWN - 3]}..."

"""The flags of cloudflared that the double knows, their kinds, variables and places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tunnel_double import RefusalError
from tunnel_double.durations import parse_duration

Value = str | bool | float | int
Kind = Literal["string", "bool", "duration", "integer"]

_ABOVE: Final = ("", "tunnel")
_EVERYWHERE: Final = ("", "tunnel", "tunnel run")
_LEVELS_OF_LOGGING: Final = ("debug", "info", "warn", "error", "fatal")
# The words of Go's strconv.ParseBool.
_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
_FALSE: Final = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag: how it is spelled, where it is allowed and what it takes."""

    name: str
    kind: Kind = "string"
    levels: tuple[str, ...] = _ABOVE
    """The commands at which cloudflared declares the flag; the empty one is the program itself."""
    variable: str = ""
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    default: Value | None = None
    in_configuration: bool = True
    """Whether the configuration file may set it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling of the flag."""
        return (self.name, *self.aliases)


FLAGS: tuple[Flag, ...] = (
    Flag(name="config", in_configuration=False),
    Flag(name="no-autoupdate", kind="bool", variable="NO_AUTOUPDATE", default=False),
    Flag(name="autoupdate-freq", kind="duration"),
    Flag(name="no-prechecks", kind="bool", variable="TUNNEL_NO_PRECHECKS", default=False),
    Flag(name="metrics", variable="TUNNEL_METRICS"),
    Flag(
        name="loglevel",
        variable="TUNNEL_LOGLEVEL",
        choices=_LEVELS_OF_LOGGING,
        default="info",
    ),
    Flag(
        name="transport-loglevel",
        variable="TUNNEL_TRANSPORT_LOGLEVEL",
        aliases=("proto-loglevel",),
        choices=_LEVELS_OF_LOGGING,
        default="info",
    ),
    Flag(
        name="credentials-file",
        levels=_EVERYWHERE,
        variable="TUNNEL_CRED_FILE",
        aliases=("cred-file",),
    ),
    Flag(
        name="edge-ip-version",
        variable="TUNNEL_EDGE_IP_VERSION",
        choices=("4", "6", "auto"),
        default="auto",
    ),
    Flag(name="grace-period", kind="duration", variable="TUNNEL_GRACE_PERIOD", default=30.0),
    Flag(
        name="management-diagnostics",
        kind="bool",
        variable="TUNNEL_MANAGEMENT_DIAGNOSTICS",
        default=True,
    ),
    Flag(
        name="protocol",
        levels=_EVERYWHERE,
        variable="TUNNEL_TRANSPORT_PROTOCOL",
        aliases=("p",),
        choices=("auto", "quic", "http2"),
        default="auto",
    ),
    Flag(
        name="post-quantum",
        kind="bool",
        levels=_EVERYWHERE,
        variable="TUNNEL_POST_QUANTUM",
        aliases=("pq",),
        default=False,
    ),
    Flag(name="retries", kind="integer", variable="TUNNEL_RETRIES", default=5),
    Flag(name="token-file", levels=("tunnel run",), variable="TUNNEL_TOKEN_FILE"),
    Flag(
        name="short",
        kind="bool",
        levels=("version",),
        aliases=("s",),
        default=False,
        in_configuration=False,
    ),
)


def parse_text(flag: Flag, text: str, where: str) -> Value:
    """Return the value that a flag's text means; raise RefusalError, naming `where`, if none."""
    if flag.kind == "bool":
        return _parse_bool(text, where)
    if flag.kind == "duration":
        return parse_duration(text, where)
    if flag.kind == "integer":
        return _parse_integer(text, where)
    return check_choice(flag, text, where)


def check_choice(flag: Flag, text: str, where: str) -> str:
    """Return the text; raise RefusalError when the flag has a set of words and this is none of them."""
    if flag.choices and text not in flag.choices:
        msg = f"{where}: {text!r} is none of {', '.join(flag.choices)}"
        raise RefusalError(msg)
    return text


def _parse_bool(text: str, where: str) -> bool:
    if text not in _TRUE + _FALSE:
        msg = f"{where}: {text!r} is neither true nor false"
        raise RefusalError(msg)
    return text in _TRUE


def _parse_integer(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit():
        msg = f"{where}: {text!r} is not a whole number"
        raise RefusalError(msg)
    return int(text)

"""The command line and the environment, by the rules of cloudflared's flag library.

Source: cmd/cloudflared/tunnel/cmd.go and subcommands.go of release 2026.8.2, with Go's flag
package. A flag belongs to the level that declares it: `--token-file` only after `run`, `--metrics`
only before it. Parsing of a level ends at its first word that is not a flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tunnel_double import RefusalError
from tunnel_double.flags import FLAGS, Flag, Value, parse_text

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "": ("version", "tunnel"),
    "version": (),
    "tunnel": ("run", "ready", "ingress"),
    "tunnel run": (),
    "tunnel ready": (),
    "tunnel ingress": ("validate",),
    "tunnel ingress validate": (),
}
_MOST_ARGUMENTS: Final = {"tunnel run": 1}
_OWN_PREFIX: Final = "TUNNEL_"
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One command with the flags and variables given to it."""

    command: str
    """The words that name the command, such as `tunnel run`."""
    arguments: tuple[str, ...] = ()
    given: Mapping[str, Value] = field(default_factory=dict)
    """What command line and environment set, by the flag's full name; the command line wins."""


def parse_command_line(words: Sequence[str], environment: Mapping[str, str]) -> Invocation:
    """Return the command that cloudflared would run.

    Raises RefusalError for an unknown command, flag or TUNNEL_ variable, for one that this double does
    not model, and for a value of the wrong kind.
    """
    given = _read_environment(environment)
    command, rest = "", list(words)
    while True:
        here, rest = _parse_level(command, rest)
        given.update(here)
        if not rest or not _COMMANDS[command]:
            break
        command = _descend(command, rest.pop(0))
    if _COMMANDS[command]:
        msg = f"cloudflared {command}: a command is missing, one of {', '.join(_COMMANDS[command])}"
        raise RefusalError(msg)
    _check_arguments(command, rest)
    return Invocation(command=command, arguments=tuple(rest), given=given)


def _descend(command: str, word: str) -> str:
    if word not in _COMMANDS[command]:
        msg = f"cloudflared {command}: unknown command {word!r}"
        raise RefusalError(msg)
    return f"{command} {word}".strip()


def _check_arguments(command: str, arguments: Sequence[str]) -> None:
    most = _MOST_ARGUMENTS.get(command, 0)
    if len(arguments) > most:
        msg = (
            f'"cloudflared {command}" accepts at most {most} argument(s), not {len(arguments)}; '
            "a flag after the argument is not read"
        )
        raise RefusalError(msg)


def _parse_level(command: str, words: list[str]) -> tuple[dict[str, Value], list[str]]:
    """Read the flags at the head of the words; return them and the words that are left."""
    flags = {name: flag for flag in FLAGS if command in flag.levels for name in flag.names}
    found: dict[str, Value] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        flag = _find_flag(flags, name, command)
        if not equals:
            text = _take_value(flag, word, rest)
        found[flag.name] = parse_text(flag, text, f"flag {word}")
    return found, rest


def _find_flag(flags: Mapping[str, Flag], name: str, command: str) -> Flag:
    if name not in flags:
        msg = (
            f'Incorrect Usage: flag provided but not defined: -{name} (at "cloudflared {command}")'
        )
        raise RefusalError(msg)
    return flags[name]


def _take_value(flag: Flag, word: str, rest: list[str]) -> str:
    if flag.kind == "bool":
        return "true"
    if not rest:
        msg = f"Incorrect Usage: flag needs an argument: {word}"
        raise RefusalError(msg)
    return rest.pop(0)


def _read_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    known = {flag.variable: flag for flag in FLAGS if flag.variable}
    unknown = [n for n in environment if n.startswith(_OWN_PREFIX) and n not in known]
    if unknown:
        msg = f"unknown or not modelled, and never the place for a secret: {', '.join(unknown)}"
        raise RefusalError(msg)
    _refuse_proxies(environment)
    return {
        flag.name: parse_text(flag, environment[name], f"variable {name}")
        for name, flag in known.items()
        if name in environment
    }


def _refuse_proxies(environment: Mapping[str, str]) -> None:
    """Refuse the variables by which cloudflared would send requests to the origin elsewhere."""
    proxies = [name for name in environment if name.upper() in _PROXY_VARIABLES]
    if proxies:
        msg = f"cloudflared would reach the origin through the proxy of {', '.join(proxies)}"
        raise RefusalError(msg)

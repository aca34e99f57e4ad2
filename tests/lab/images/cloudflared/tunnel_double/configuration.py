"""The configuration file: its keys, and the options for the way to the origin.

Source: config/configuration.go and ingress/config.go of cloudflared 2026.8.2. cloudflared passes
over a key that it does not know; the double refuses it, and names every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tunnel_double import RefusalError
from tunnel_double.durations import parse_duration
from tunnel_double.flags import FLAGS, Flag, Value, check_choice
from tunnel_double.yaml_text import parse_yaml

_RULE_KEYS: Final = {"hostname": str, "path": str, "service": str}
_ORIGIN_DURATIONS: Final = ("connectTimeout", "tlsTimeout", "tcpKeepAlive", "keepAliveTimeout")
_ORIGIN_KEYS: Mapping[str, type] = {
    **dict.fromkeys(_ORIGIN_DURATIONS, str),
    "noHappyEyeballs": bool,
    "keepAliveConnections": int,
    "httpHostHeader": str,
    "originServerName": str,
    "matchSNItoHost": bool,
    "caPool": str,
    "noTLSVerify": bool,
    "disableChunkedEncoding": bool,
    "http2Origin": bool,
}
_NOT_MODELLED_WHEN_TRUE: Final = ("disableChunkedEncoding", "http2Origin")


@dataclass(frozen=True, kw_only=True)
class OriginRequest:
    """How requests reach one origin; cloudflared's defaults; times in seconds."""

    connect_timeout: float = 30.0
    tls_timeout: float = 10.0
    keep_alive_timeout: float = 90.0
    http_host_header: str = ""
    origin_server_name: str = ""
    match_sni_to_host: bool = False
    ca_pool: str = ""
    no_tls_verify: bool = False


_FIELDS: Final = {
    "connectTimeout": "connect_timeout",
    "tlsTimeout": "tls_timeout",
    "keepAliveTimeout": "keep_alive_timeout",
    "httpHostHeader": "http_host_header",
    "originServerName": "origin_server_name",
    "matchSNItoHost": "match_sni_to_host",
    "caPool": "ca_pool",
    "noTLSVerify": "no_tls_verify",
}


@dataclass(frozen=True, kw_only=True)
class RawRule:
    """One ingress rule as written, before its own rules are checked."""

    hostname: str = ""
    path: str = ""
    service: str = ""
    origin: OriginRequest


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A whole configuration file."""

    source: Path
    tunnel: str = ""
    rules: tuple[RawRule, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    """What the file sets in place of flags, by the flag's full name."""


def read_configuration(path: Path) -> Configuration:
    """Return the content of the file; raise RefusalError with all that is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Cannot read the configuration file {path}: {error}"
        raise RefusalError(msg) from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        msg = f"Configuration file {path} was empty or is not a mapping"
        raise RefusalError(msg)
    problems = list(_find_problems(content))
    if problems:
        msg = "\n".join(f"{path}: {problem}" for problem in problems)
        raise RefusalError(msg)
    return _build_configuration(path, content)


def _build_configuration(path: Path, content: Mapping[str, Any]) -> Configuration:
    base = _override(OriginRequest(), content.get("originRequest"), "originRequest")
    return Configuration(
        source=path,
        tunnel=content.get("tunnel") or "",
        rules=tuple(
            _build_rule(rule, base, f"ingress rule {number}")
            for number, rule in enumerate(content.get("ingress") or (), start=1)
        ),
        settings={f.name: _read_setting(f, content[n]) for n, f in _settings_in(content)},
    )


def _build_rule(rule: Mapping[str, Any], base: OriginRequest, where: str) -> RawRule:
    written = {key: rule[key] for key in _RULE_KEYS if rule.get(key) is not None}
    return RawRule(**written, origin=_override(base, rule.get("originRequest"), where))


def _override(base: OriginRequest, options: Mapping[str, Any] | None, where: str) -> OriginRequest:
    given = {key: value for key, value in (options or {}).items() if value is not None}
    changes: dict[str, Any] = {
        key: parse_duration(value, f"{where}: {key}") if key in _ORIGIN_DURATIONS else value
        for key, value in given.items()
    }
    return replace(base, **{_FIELDS[k]: v for k, v in changes.items() if k in _FIELDS})


def _settings_in(content: Mapping[str, Any]) -> list[tuple[str, Flag]]:
    flags = {name: flag for flag in FLAGS if flag.in_configuration for name in flag.names}
    return [(key, flags[key]) for key in content if key in flags]


def _find_problems(content: Mapping[str, Any]) -> Iterator[str]:
    settings = dict(_settings_in(content))
    for key, value in content.items():
        if key in settings:
            yield from _find_setting_problems(settings[key], key, value)
        elif key == "tunnel":
            yield from _check_type(key, value, str)
        elif key == "originRequest":
            yield from _find_origin_problems(key, value)
        elif key == "ingress":
            yield from _find_ingress_problems(value)
        else:
            yield f"unknown key {key!r}"


def _find_ingress_problems(rules: object) -> Iterator[str]:
    if not isinstance(rules, list):
        yield "ingress is not a list of rules"
        return
    for number, rule in enumerate(rules, start=1):
        where = f"ingress rule {number}"
        if not isinstance(rule, dict):
            yield f"{where} is not a mapping"
            continue
        for key, value in rule.items():
            if key == "originRequest":
                yield from _find_origin_problems(f"{where}: {key}", value)
            elif key in _RULE_KEYS:
                yield from _check_type(f"{where}: {key}", value, _RULE_KEYS[key])
            else:
                yield f"{where}: unknown key {key!r}"


def _find_origin_problems(where: str, options: object) -> Iterator[str]:
    if options is not None and not isinstance(options, dict):
        yield f"{where} is not a mapping"
        return
    for key, value in (options or {}).items():
        if key not in _ORIGIN_KEYS:
            yield f"{where}: unknown key {key!r}, or one that the double does not model"
        else:
            yield from _check_type(f"{where}: {key}", value, _ORIGIN_KEYS[key])
        if key in _NOT_MODELLED_WHEN_TRUE and value is True:
            yield f"{where}: {key}: true is not modelled by the double"


def _check_type(where: str, value: object, kind: type) -> Iterator[str]:
    # In Python, though not in Go, true is a number.
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if value is not None and not fits:
        yield f"{where}: {value!r} is of the wrong kind, expected {kind.__name__}"


def _find_setting_problems(flag: Flag, key: str, value: object) -> Iterator[str]:
    kind = {"bool": bool, "integer": int}.get(flag.kind, str)
    if value is None:
        yield f"{key} has no value"
    yield from _check_type(key, value, kind)
    # The flag library applies only true, and only durations and numbers above zero.
    if flag.default is True and value is False:
        yield f"{key}: false in the file has no effect; set the variable {flag.variable}"


def _read_setting(flag: Flag, value: Any) -> Value:
    if flag.kind == "duration":
        return parse_duration(value, flag.name)
    if flag.kind == "string":
        return check_choice(flag, value, flag.name)
    checked: Value = value
    return checked

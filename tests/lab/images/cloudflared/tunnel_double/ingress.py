"""Ingress rules: which are valid, and which one a request meets.

Source: ingress/ingress.go and ingress/rule.go of cloudflared 2026.8.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from tunnel_double import RefusalError
from tunnel_double.configuration import OriginRequest, RawRule

_STATUS: Final = "http_status:"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOWEST_STATUS, _HIGHEST_STATUS = 100, 999


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where a rule sends its requests: an origin, or a bare status code."""

    text: str
    scheme: str = ""
    host: str = ""
    port: int = 0
    status: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One valid ingress rule."""

    hostname: str
    path: re.Pattern[str] | None
    service: Service
    origin: OriginRequest

    def matches(self, hostname: str, path: str) -> bool:
        """Return whether a request for the host and the decoded path belongs to this rule."""
        fits = self.hostname in {"", "*", hostname} or (
            self.hostname.startswith("*.") and hostname.endswith(self.hostname[1:])
        )
        return fits and (self.path is None or self.path.search(path) is not None)


def validate_ingress(rules: Sequence[RawRule]) -> tuple[Rule, ...]:
    """Return the rules ready for use; raise RefusalError for the first that cloudflared refuses."""
    if not rules:
        msg = "The config file doesn't contain any ingress rules"
        raise RefusalError(msg)
    valid = []
    for number, rule in enumerate(rules, start=1):
        service = parse_service(rule.service)
        _check_hostname(rule, number, len(rules))
        valid.append(
            Rule(
                hostname=rule.hostname,
                path=_compile_path(rule.path, number),
                service=service,
                origin=rule.origin,
            )
        )
    return tuple(valid)


def find_rule(rules: Sequence[Rule], host: str, path: str) -> int:
    """Return the index of the first rule that fits; the last one fits everything."""
    hostname = re.sub(r":\d*$", "", host)
    return next(i for i, rule in enumerate(rules) if rule.matches(hostname, path))


def parse_service(text: str) -> Service:
    """Return the service that a rule names; raise RefusalError when it is none the double can serve."""
    if text.startswith(_STATUS):
        return Service(text=text, status=_parse_status(text.removeprefix(_STATUS)))
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        msg = f"{text} is an invalid address: {error}"
        raise RefusalError(msg) from None
    _check_address(text, parts)
    return Service(
        text=text,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port or _DEFAULT_PORTS[parts.scheme],
    )


def _check_address(text: str, parts: SplitResult) -> None:
    if not parts.scheme or not parts.hostname:
        msg = (
            f"{text} is an invalid address, please make sure it has a scheme and a hostname "
            "(services without them, such as hello_world, are not modelled by the double)"
        )
        raise RefusalError(msg)
    if parts.path:
        msg = (
            f"{text} is an invalid address, ingress rules don't support proxying to a different "
            "path on the origin service. The path will be the same as the eyeball request's path"
        )
        raise RefusalError(msg)
    if parts.scheme not in _DEFAULT_PORTS:
        msg = f"{text}: services of the kind {parts.scheme} are not modelled by the double"
        raise RefusalError(msg)
    if parts.query or parts.fragment or "@" in parts.netloc:
        msg = f"{text} is an invalid address, only scheme, host and port have an effect"
        raise RefusalError(msg)


def _parse_status(text: str) -> int:
    status = int(text) if text.isascii() and text.isdigit() else 0
    if not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
        msg = f"invalid HTTP status code: {text}"
        raise RefusalError(msg)
    return status


def _compile_path(path: str, number: int) -> re.Pattern[str] | None:
    if not path:
        return None
    try:
        return re.compile(path)
    except re.error as error:
        msg = f"Rule #{number} has an invalid regex: {error}"
        raise RefusalError(msg) from None


def _check_hostname(rule: RawRule, number: int, total: int) -> None:
    if ":" in rule.hostname:
        msg = "Hostname cannot contain a port"
        raise RefusalError(msg)
    if rule.hostname.rfind("*") > 0:
        msg = (
            'Hostname patterns can have at most one wildcard character ("*") and it can only be '
            'used for subdomains, e.g. "*.example.com"'
        )
        raise RefusalError(msg)
    catches_all = rule.hostname in {"", "*"} and not rule.path
    if number == total and not catches_all:
        msg = (
            "The last ingress rule must match all URLs (i.e. it should not have a hostname or "
            "path filter)"
        )
        raise RefusalError(msg)
    if number != total and catches_all:
        msg = (
            f"Rule #{number} is matching the hostname '{rule.hostname}', but this will match every "
            "hostname, meaning the rules which follow it will never be triggered."
        )
        raise RefusalError(msg)

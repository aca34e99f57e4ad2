"""The `certificates` commands: output for people and programs. Returns exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import HelperError
from ..settings.issuers import Acme
from . import keeper
from .renewal import Renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ..settings.certificate_settings import CertificateSettings
    from .certbot import Attempt

_LABELS: Final = {
    "issuer": "wanted from",
    "origin": "published by",
    "serial": "serial",
    "valid_until": "valid until",
    "warning": "warning from",
    "failure": "failure from",
    "failing_since": "failing since",
    "next_attempt": "next attempt",
    "problem": "problem",
}


def show_status(settings: CertificateSettings, now: datetime, *, as_json: bool) -> int:
    """Print the state of the certificate; 0 if it is the issuer's own and without a problem."""
    state = keeper.read_state(settings, now)
    if isinstance(settings.issuer, Acme):
        state = Renewal(settings, settings.issuer, {}, _keep_silent).add_history(state)
    content = {"issuer": settings.issuer.name, **state.to_json()}
    ok = state.problem is None and state.origin == settings.issuer.name
    _print_status({"ok": ok, **content}, as_json=as_json)
    return 0 if ok else 1


def make_attempt(
    settings: CertificateSettings,
    environ: Mapping[str, str],
    attempt: Attempt,
    now: Callable[[], datetime],
    *,
    as_json: bool,
) -> int:
    """Ask the issuer, with progress, and print the outcome."""
    tell = _print_aside if as_json else click.echo
    if not isinstance(settings.issuer, Acme):
        problem = f"{settings.issuer.name} is never asked: the helper publishes by itself"
        _print_outcome({"ok": False, "problem": problem}, as_json=as_json)
        return 1
    try:
        Renewal(settings, settings.issuer, environ, tell).attempt(attempt)
    except HelperError as error:
        _print_outcome({"ok": False, "problem": error.message}, as_json=as_json)
        return 1
    if attempt.rehearsal:
        _print_outcome({"ok": True, "rehearsal": True}, as_json=as_json)
        return 0
    return show_status(settings, now(), as_json=as_json)


def _print_outcome(content: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(content, indent=2))
    elif content["ok"]:
        click.echo("the rehearsal succeeded; nothing was kept")
    else:
        click.echo(f"Error: {content['problem']}", err=True)


def _print_status(content: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    width = max(map(len, _LABELS.values()))
    for name, label in _LABELS.items():
        if content[name] is not None:
            click.echo(f"{label:<{width}}  {content[name]}")


def _print_aside(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _keep_silent(_sentence: str) -> None:
    """Say nothing: reading the state changes nothing."""

"""The `certificates` commands: what a person sees and what a machine reads. Returns exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import HelperError
from ..service import duties
from . import keeper
from .renewal import Renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ..settings.service_settings import ServiceSettings
    from .certbot import Wish

_LABELS = {
    "issuer": "wanted from",
    "origin": "published is of",
    "serial": "serial",
    "valid_until": "valid until",
    "warning": "warning from",
    "failure": "failure from",
    "failing_since": "failing since",
    "next_attempt": "asked again at",
    "problem": "problem",
}


def show_status(settings: ServiceSettings, now: datetime, *, as_json: bool) -> int:
    """Print how the certificate stands; 0 if it is the issuer's own and without a problem."""
    state = keeper.look(settings, now)
    if settings.acme is not None:
        state = Renewal(settings, {}, _silent).describe(state)
    content = {"issuer": settings.certificate_issuer, **duties.summarise(state)}
    ok = state.problem is None and state.origin == settings.certificate_issuer
    _show({"ok": ok, **content}, as_json=as_json)
    return 0 if ok else 1


def act(
    settings: ServiceSettings,
    environ: Mapping[str, str],
    wish: Wish,
    now: Callable[[], datetime],
    *,
    as_json: bool,
) -> int:
    """Ask the issuer as `wish` says, with progress, and print what became of it."""
    tell = _aside if as_json else click.echo
    if settings.acme is None:
        problem = f"{settings.certificate_issuer} need not be asked: the helper publishes by itself"
        _finish({"ok": False, "problem": problem}, as_json=as_json)
        return 1
    try:
        Renewal(settings, environ, tell).attempt(wish)
    except HelperError as error:
        _finish({"ok": False, "problem": error.message}, as_json=as_json)
        return 1
    if wish.rehearsal:
        _finish({"ok": True, "rehearsal": True}, as_json=as_json)
        return 0
    return show_status(settings, now(), as_json=as_json)


def _finish(content: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(content, indent=2))
    elif content["ok"]:
        click.echo("the rehearsal went well: nothing was kept")
    else:
        click.echo(f"Error: {content['problem']}", err=True)


def _show(content: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    width = max(map(len, _LABELS.values()))
    for name, label in _LABELS.items():
        if content[name] is not None:
            click.echo(f"{label:<{width}}  {content[name]}")


def _aside(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _silent(_sentence: str) -> None:
    """Say nothing: looking changes nothing."""

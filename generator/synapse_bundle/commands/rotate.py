"""`synapse-bundle rotate`: replace secrets of a running server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from .. import engine, locking, next_steps, pipeline
from ..credentials import collection
from ..errors import BundleError, SettingsError
from ..options import output_option, settings_option, yes_option
from ..rotation import bundle_containers, journal, overview, renewal, steps
from ..rotation.rotatable import ROTATABLE, Rotatable, require_rotatable
from ..rotation.steps import Rotation
from ..settings import loading
from ..settings.model import Settings


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@settings_option
@output_option
@yes_option
def rotate(names: tuple[str, ...], settings_path: Path | None, bundle: Path, *, yes: bool) -> None:
    """Replace secrets, and restart what reads them.

    NAME is that of a file in the bundle's secrets/. Without one, list them, with their age and what
    a rotation costs. A rotation that was cut off is finished by the same command.
    """
    settings = loading.load(settings_path)
    engine.require_bundle(bundle)
    base = settings_path.parent if settings_path else Path()
    if not names:
        _show_all(settings, bundle, base)
        return
    pipeline.check_place(settings, bundle, force=False)
    with locking.lock(bundle):
        rotation = _open(names, settings, bundle, base)
        secrets = [ROTATABLE[name] for name in rotation.journal.names]
        prepared = rotation.prepare()
        pipeline.refuse_conflicts(prepared.changes)
        for line in overview.write_plan(bundle, secrets, prepared, running=rotation.running):
            click.echo(line)
        if not yes:
            _confirm(secrets, settings.server_name)
        finished = steps.perform(rotation, lambda title: click.echo(f"{title} ..."))
    _show_end(rotation, secrets, finished=finished)


def _show_all(settings: Settings, bundle: Path, base: Path) -> None:
    unfinished = journal.read(bundle)
    if unfinished:
        click.echo(f"A rotation was cut off; finish it: {unfinished.command}\n")
    credentials = collection.collect(bundle, settings, base)
    rows = []
    for name, secret in ROTATABLE.items():
        if name in credentials.values:
            begun = renewal.begin([name], credentials, settings, datetime.now(UTC))
            rotation = Rotation(
                journal=begun, settings=settings, bundle=bundle, base=base, running=True
            )
            rows.append((secret, rotation.prepare()))
    for line in overview.write_rows(bundle, rows):
        click.echo(line)


def _open(names: Sequence[str], settings: Settings, bundle: Path, base: Path) -> Rotation:
    """Return the rotation that was cut off, if it is this one, or a new one."""
    begun = journal.read(bundle)
    if begun is None:
        credentials = collection.collect(bundle, settings, base)
        secrets = require_rotatable(names, credentials.values)
        chosen = [secret.name for secret in secrets]
        begun = renewal.begin(chosen, credentials, settings, datetime.now(UTC))
    elif set(begun.names) != set(names):
        raise SettingsError(
            f"Another rotation was cut off; nothing was changed. Finish it first: {begun.command}"
        )
    else:
        click.echo("This rotation was cut off; what follows finishes it.")
    running = bool(bundle_containers.find_running(bundle))
    return Rotation(journal=begun, settings=settings, bundle=bundle, base=base, running=running)


def _confirm(secrets: Sequence[Rotatable], server_name: str) -> None:
    """Ask, for a grave rotation in a way that is not answered by habit; raise unless it is wanted."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise SettingsError(
            "There is no terminal to ask for confirmation at; nothing was changed. Pass --yes."
        )
    if any(secret.grave for secret in secrets):
        typed = click.prompt(f"\nType the server name ({server_name}) to go on", type=str)
        wanted = typed.strip() == server_name
    else:
        wanted = click.confirm("\nDo this now?")
    if not wanted:
        raise BundleError("Aborted; nothing was changed.")


def _show_end(rotation: Rotation, secrets: Sequence[Rotatable], *, finished: bool) -> None:
    if not rotation.running:
        click.echo(f"\n{next_steps.write_next(rotation.bundle, Path())}")
    if not finished:
        click.echo(f"Then, while it runs, finish the rotation: {rotation.journal.command}")
        return
    if rotation.running:
        click.echo("\nDone: the old values are no longer valid.")
    for secret in secrets:
        if secret.afterwards:
            click.echo(secret.afterwards)

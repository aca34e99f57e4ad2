"""`synapse-bundle upgrade-database`: PostgreSQL's next major version."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .. import engine, locking, pipeline, succession
from ..errors import BundleError, SettingsError
from ..options import output_option, settings_option, yes_option
from ..settings import loading
from ..succession import Stage, Succession


@click.command("upgrade-database")
@settings_option
@output_option
@yes_option
@click.option("--undo", is_flag=True, help="Go back, as long as no client has used the new one.")
@click.option("--remove-old", is_flag=True, help="Delete the old data, when all is well.")
def upgrade_database(
    settings_path: Path | None, bundle: Path, *, yes: bool, undo: bool, remove_old: bool
) -> None:
    """Bring the database to PostgreSQL's next major version.

    The server stands still while its final set is loaded into the new one. The old data stays beside it.
    An upgrade that was cut off is finished by the same command.
    """
    if undo and remove_old:
        raise SettingsError("Use --undo or --remove-old, not both; nothing was changed.")
    settings = loading.load(settings_path)
    base = settings_path.parent if settings_path else Path()
    run = succession.open_succession(settings, bundle, base)
    pipeline.check_place(settings, bundle, force=False)
    engine.require_docker()
    with locking.lock(bundle):
        run.write()
        if remove_old:
            _confirm(f"Delete the data of PostgreSQL {run.older} for good?", yes=yes)
            succession.remove_older(run)
            click.echo(f"The data of PostgreSQL {run.older} is deleted.")
            return
        stage = run.find_stage()
        _perform(run, stage, undo=undo, yes=yes)
    if stage is Stage.GONE:
        click.echo(f"\nThere is no data yet: the server begins with PostgreSQL {run.newer}.")
        return
    code = engine.check(bundle, [])
    _show_end(run, undo=undo)
    raise SystemExit(code)


def _perform(run: Succession, stage: Stage, *, undo: bool, yes: bool) -> None:
    list_them = succession.list_steps_back if undo else succession.list_steps
    steps = list(list_them(run, stage))
    click.echo("\n".join(f"  - {step.title}" for step in steps))
    way = f"from {run.newer} back to {run.older}" if undo else f"from {run.older} to {run.newer}"
    _confirm(f"Bring PostgreSQL {way}? The server stands still meanwhile.", yes=yes)
    succession.perform(steps, run, click.echo)


def _confirm(question: str, *, yes: bool) -> None:
    """Ask; raise unless it is wanted."""
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise SettingsError(
            "There is no terminal to ask for confirmation at; nothing was changed. Pass --yes."
        )
    if not click.confirm(question):
        raise BundleError("Aborted; nothing was changed.")


def _show_end(run: Succession, *, undo: bool) -> None:
    if undo:
        click.echo(f"\nThe server runs with PostgreSQL {run.older}, as before.")
        return
    click.echo(
        f"\nThe server runs with PostgreSQL {run.newer}. The data of {run.older} is still in the volume;"
        f" when all is well: {succession.COMMAND} --remove-old"
    )

"""`synapse-bundle update`: new images and packages for a running server, with a way back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from .. import engine, locking, pipeline
from ..database_place import runs_database
from ..errors import BundleError, SettingsError
from ..options import output_option, settings_option, yes_option
from ..rotation import journal as rotation_journal
from ..settings import loading
from ..settings.model import Settings
from ..updating import advancing, returning, update_journal, update_overview
from ..updating import automatic as timing
from ..updating.update import Update, read_compose
from ..updating.update_engine import UpdateEngine
from ..updating.update_journal import Ledger

_EXTERNAL = "the database is not the bundle's own; back it up where it runs"
_UNWANTED = "you passed --without-set"
_ABORTED = "Aborted; nothing was changed."


@click.command()
@settings_option
@output_option
@yes_option
@click.option(
    "--offline", is_flag=True, help="Pull and build nothing; use the images that are here."
)
@click.option("--without-set", is_flag=True, help="Make no set; the way back is by image alone.")
@click.option("--one-way", is_flag=True, help="Go on where there is no way back.")
@click.option(
    "--automatic", is_flag=True, help="For a timer: only what `updates.automatic` allows."
)
@click.option(
    "--back", is_flag=True, help="Take back the update that was cut off, or the last one."
)
def update(
    settings_path: Path | None,
    bundle: Path,
    *,
    yes: bool,
    offline: bool,
    without_set: bool,
    one_way: bool,
    automatic: bool,
    back: bool,
) -> None:
    """Bring a running server up to date, and go back by itself if that fails.

    Makes a set, pulls and builds the images, starts them, and checks. An update that was cut off is finished
    by the same command.
    """
    settings = loading.load(settings_path)
    if automatic and not _is_due(settings):
        return
    _require_usable(settings, bundle)
    yes = yes or automatic
    docker = UpdateEngine(bundle=bundle)
    with locking.lock(bundle):
        run = Update(
            settings=settings,
            bundle=bundle,
            base=settings_path.parent if settings_path else Path(),
            engine=docker,
            ledger=update_journal.read(bundle, docker.identify()),
            offline=offline,
            one_way=one_way,
            ask=partial(_ask, yes=yes),
            report=click.echo,
            now=partial(datetime.now, UTC),
        )
        if back or run.ledger.underway:
            _resume(run, back=back, yes=yes)
        elif not automatic or _has_reason(run):
            _begin(run, without_set=without_set, yes=yes)


def _is_due(settings: Settings) -> bool:
    """Tell whether an automatic update may begin now; SettingsError where none is wanted."""
    chosen = settings.updates
    if chosen.automatic == "none" or chosen.at is None:
        raise SettingsError(
            "Automatic updates are not turned on; nothing was changed. In the settings: updates:"
            ' {list: …, automatic: security, at: "04:00"}'
        )
    due = timing.is_due(chosen.at, datetime.now(UTC))
    if not due:
        _tell_person(f"Not now: automatic updates begin between {chosen.at} UTC and an hour later.")
    return due


def _tell_person(text: str) -> None:
    # Cron sends a mail for whatever is printed.
    if sys.stdout.isatty():
        click.echo(text)


def _has_reason(run: Update) -> bool:
    """Tell whether the list names something unsafe that no update was tried for."""
    rows = run.engine.find_holes() or {}
    holes = {name: detail for name, detail in rows.items() if detail}
    # That the list itself is missing or old is told, and is no update.
    holes.pop(timing.LIST, None)
    attempt = timing.name_attempt(holes, read_compose(run.prepare()))
    if not holes or attempt == run.ledger.tried:
        _tell_person("It was tried for this already." if holes else "No security update is out.")
        return False
    for hole in holes.values():
        click.echo(hole)
    run.attempt = attempt
    return True


def _require_usable(settings: Settings, bundle: Path) -> None:
    """Raise BundleError or SettingsError where there is nothing to update, or something unfinished."""
    engine.require_bundle(bundle)
    if settings.kubernetes.database:
        raise SettingsError(
            f"kubernetes.database: {settings.kubernetes.database} runs PostgreSQL in a cluster alone, so"
            " nothing runs here to update; nothing was changed. Type: synapse-bundle kubernetes"
        )
    pipeline.check_place(settings, bundle, force=False)
    unfinished = rotation_journal.read(bundle)
    if unfinished:
        raise SettingsError(
            f"A rotation was cut off; nothing was changed. Finish it first: {unfinished.command}"
        )
    engine.require_docker()


def _begin(run: Update, *, without_set: bool, yes: bool) -> None:
    """Show what changes, ask, make the set, and go."""
    prepared = run.prepare()
    if not run.engine.list_containers():
        raise BundleError(
            "Nothing of the bundle runs, so there is nothing to update; nothing was changed. Type:"
            " synapse-bundle up"
        )
    with locking.lock_folder(run.bundle):
        # Only a look: a backup that runs now would make the set fail later.
        pass
    reason = _UNWANTED if without_set else "" if runs_database(run.bundle) else _EXTERNAL
    for line in update_overview.write_plan(run, prepared, reason):
        click.echo(line)
    _confirm("\nUpdate now?", yes=yes)
    set_name = None
    if not reason:
        click.echo("make a set ...")
        set_name = _make_set(run)
    _go(run, lambda: advancing.begin(run, set_name))


def _make_set(run: Update) -> str:
    try:
        return run.engine.make_set()
    except BundleError as error:
        raise BundleError(
            f"{error.message} Nothing was changed. Without a set the way back is by image alone; if that is"
            " enough: --without-set"
        ) from error


def _resume(run: Update, *, back: bool, yes: bool) -> None:
    """Finish an update that was cut off; or take it, or the last one, back."""
    ledger = run.ledger
    if ledger.underway:
        click.echo("An update was cut off; what follows finishes it.")
    elif ledger.last is None:
        raise BundleError("There is no update to take back, or its images are gone.")
    else:
        for line in update_overview.write_return(ledger.last):
            click.echo(line)
        _confirm("\nGo back now?", yes=yes)
    if back:
        journal = ledger.underway or ledger.last
        run.ledger = Ledger(**vars(ledger) | {"underway": journal})
        _go(run, None, reason="asked for with --back")
    else:
        _go(run, None)


def _go(
    run: Update, begin: Callable[[], update_journal.UpdateJournal] | None, reason: str = ""
) -> None:
    """Keep backups out, and take the steps; exit code 1 if the update does not stand."""
    with locking.lock_folder(run.bundle) as lock:
        run.engine = UpdateEngine(bundle=run.bundle, lock=lock)
        try:
            _take_steps(run, begin, reason)
        except KeyboardInterrupt:
            raise BundleError(
                "Interrupted. To finish the update: synapse-bundle update. To go back:"
                " synapse-bundle update --back"
            ) from None


def _take_steps(
    run: Update, begin: Callable[[], update_journal.UpdateJournal] | None, reason: str
) -> None:
    if begin:
        advancing.tidy(run)
        run.settle(underway=begin())
    if reason:
        run.note(reason=reason)
    if run.journal.reason:
        returning.perform(run)
        click.echo("\nWent back: the images and files are those from before the update.")
        raise SystemExit(0 if reason else 1)
    if not advancing.perform(run):
        click.echo("\nThe update did not stand; the images and files are those from before.")
        raise SystemExit(1)
    click.echo(f"\nThe update stands. {update_overview.write_downtime(run.ledger)}")


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not _has_terminal():
        raise SettingsError(
            "There is no terminal to ask for confirmation at; nothing was changed. Pass --yes."
        )
    if not click.confirm(question):
        raise BundleError(_ABORTED)


def _ask(question: str, *, yes: bool) -> bool:
    """Ask a person; what --yes did not mean is a no."""
    return not yes and _has_terminal() and click.confirm(question)


def _has_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty() and sys.stdout.isatty())

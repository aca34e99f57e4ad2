"""`synapse-bundle retire announce|finish`: end a server."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

import click

from .. import engine, locking, retirement_record, user_files
from ..cloudflare import destroy_run
from ..cloudflare.api_token import VARIABLE, read_token
from ..errors import BundleError, SettingsError
from ..options import output_option, settings_option
from ..retirement import announcement_text, closing_steps, outline, user_export
from ..retirement.closing_steps import Retirement
from ..retirement.server_containers import ServerContainers
from ..retirement_record import RetirementRecord, RetirementStage
from ..settings import loading
from ..settings.model import Settings

_LARGEST_TEXT: Final = 32 * 1024


@click.command()
@settings_option
@output_option
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The last day, as 2027-01-31.")
@click.option("--text", type=click.Path(path_type=Path), help="A file with your own words.")
@click.option("--withdraw", is_flag=True, help="Tell everyone that the server goes on.")
def announce(
    settings_path: Path | None,
    bundle: Path,
    day: datetime | None,
    text: Path | None,
    *,
    withdraw: bool,
) -> None:
    """Tell everyone on this server when it ends; once more for another day."""
    settings = loading.load(settings_path)
    record = _read_record(bundle)
    if record.begun:
        raise SettingsError("This server is being retired; there is nobody left to tell.")
    title, words = _write_announcement(settings.server_name, day, text, withdraw=withdraw)
    engine.require_docker()
    containers = ServerContainers(bundle=bundle)
    if not containers.is_running():
        raise BundleError(
            "Synapse does not run on this machine, so nobody can be told; nothing was changed. Start it:"
            " docker compose up -d"
        )
    with locking.lock(bundle):
        containers.ask_helper("retire", "announce", title, given=words)
        if day is None:
            retirement_record.delete(bundle)
        else:
            retirement_record.write(bundle, replace(record, day=f"{day:%Y-%m-%d}"))
    if day:
        click.echo(f"When {day:%Y-%m-%d} has come: synapse-bundle retire finish")


def _write_announcement(
    server_name: str, day: datetime | None, text: Path | None, *, withdraw: bool
) -> tuple[str, str]:
    """Return title and text; SettingsError if the options do not go together."""
    own = _read_text(text) if text else ""
    if (day is None) is not withdraw:
        raise SettingsError("Pass either --on DATE, the last day, or --withdraw.")
    if day is None:
        title, words = announcement_text.write_withdrawal(server_name)
        return title, own or words
    if day.date() < _today():
        raise SettingsError(f"--on {day:%Y-%m-%d} is over; choose a day to come.")
    title = announcement_text.write_title(server_name, day.date())
    return title, own or announcement_text.write_text(server_name, day.date())


def _read_text(path: Path) -> str:
    """Return what a file says; SettingsError if it cannot be read or says nothing."""
    try:
        text = user_files.read(path, _LARGEST_TEXT).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SettingsError(f"{path}: {reason}") from error
    if not text:
        raise SettingsError(f"{path} is empty")
    return text


@click.command()
@settings_option
@output_option
@click.option(
    "--export", type=click.Path(path_type=Path), help="A directory for what each user has."
)
@click.option("--without-set", is_flag=True, help="Keep no last set: there is no way back.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File with the API token, - for standard input.  [default: {VARIABLE}, else a prompt]",
)
@click.option("--confirm", metavar="SERVER_NAME", help="Do not ask: for scripts.")
def finish(
    settings_path: Path | None,
    bundle: Path,
    export: Path | None,
    token_file: Path | None,
    confirm: str | None,
    *,
    without_set: bool,
) -> None:
    """Keep a last set, close every account, undo Cloudflare, and stop; once more goes on."""
    settings, record = loading.load(settings_path), _read_record(bundle)
    if record.stage is RetirementStage.DONE:
        click.echo(outline.write_reminder(record))
        return
    _require_ready(settings, record, keeps_set=not without_set)
    engine.require_docker()
    containers = ServerContainers(bundle=bundle)
    _ask(confirm, settings.server_name, "to see what goes")
    token = read_token(token_file) if destroy_run.has_anything(bundle) else ""
    with locking.lock(bundle):
        if not (record.begun or containers.is_running()):
            _start(record, settings, bundle)
        retirement = Retirement(
            settings=settings,
            containers=containers,
            record=record,
            keeps_set=not without_set,
            export=user_export.prepare_directory(export, settings.server_name) if export else None,
            cloudflare=destroy_run.open_run(bundle, token, _wait) if token else None,
            report=click.echo,
        )
        _show(outline.write_outline(retirement))
        _ask(confirm, settings.server_name, "once more to begin")
        closing_steps.perform(retirement)
    removal = f"cd {shlex.quote(str(bundle))} && docker compose down --volumes"
    _show(outline.write_end(retirement, removal))


def _start(record: RetirementRecord, settings: Settings, bundle: Path) -> None:
    """Start a server that is stopped here, perhaps by a run that was killed during the exports.

    BundleError where it never ran: then it is in a cluster, and what started here would be empty.
    """
    if not record.instance:
        raise BundleError(
            "This server never ran on this machine, so it cannot be ended from here; nothing was changed."
        )
    click.echo("start the server ...")
    engine.start(bundle, settings.ports)


def _require_ready(settings: Settings, record: RetirementRecord, *, keeps_set: bool) -> None:
    """Raise SettingsError before the day that people rely on, or without what makes a set."""
    if record.begun:
        return
    if record.day and date.fromisoformat(record.day) > _today():
        raise SettingsError(
            f"Everyone was told that the server runs until {record.day}; nothing was changed. Wait for"
            " that day, or announce another one: synapse-bundle retire announce --on DATE"
        )
    if settings.database and keeps_set:
        raise SettingsError(
            "The database is not the bundle's own, so no set can be made of it; nothing was changed."
            " Have it backed up where it runs, then pass --without-set."
        )


def _read_record(bundle: Path) -> RetirementRecord:
    engine.require_bundle(bundle)
    return retirement_record.read(bundle) or RetirementRecord(
        instance=retirement_record.read_instance(bundle), stage=RetirementStage.ANNOUNCED
    )


def _ask(confirm: str | None, server_name: str, purpose: str) -> None:
    """Have the server's name typed; SettingsError without a terminal, BundleError for another name."""
    if confirm is None and not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise SettingsError(
            "There is no terminal to ask for confirmation at; nothing was changed. Pass --confirm with"
            " the name of the server."
        )
    typed = (
        confirm
        if confirm is not None
        else str(click.prompt(f"\nType the server name ({server_name}) {purpose}", type=str))
    )
    if typed.strip() != server_name:
        raise BundleError("Aborted; nothing was changed.")


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _wait(sentence: str) -> None:
    click.echo(f"{sentence} ...", err=True)


def _today() -> date:
    return datetime.now().astimezone().date()


COMMANDS: Final[dict[str, click.Command]] = {"announce": announce, "finish": finish}

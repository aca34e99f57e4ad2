"""The command line of the helper: parses, calls, prints; decides nothing."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

import click

from .accounts.account_commands import user
from .backup.command_group import backup
from .certificates.certificate_commands import certificates
from .claim.claim_commands import claim
from .cluster.wait_commands import wait
from .foreign.import_commands import import_group
from .interruption import end_when_asked
from .retirement.retirement_commands import retire, shut
from .service import supervisor
from .settings.backup_settings import BackupSettings
from .settings.bootstrap_settings import BootstrapSettings
from .settings.drill_settings import DrillSettings
from .settings.service_settings import ServiceSettings

# What a command imports is needed there alone: the service stays small, and a check starts at once.


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[backup, certificates, claim, import_group, retire, user, wait],
)
def main() -> None:
    """Prepare, serve and check a synapse-bundle."""


backup.add_command(shut, "retire")


@backup.command("run")
def run_schedule() -> None:
    """Make a set each day at the time in the settings, and drills; until asked to stop."""
    from .backup import claim_watch, routine, timetable  # noqa: PLC0415
    from .backup.progress import Progress  # noqa: PLC0415
    from .drill import database_drill  # noqa: PLC0415

    settings, tell = BackupSettings.from_environ(os.environ), Progress(sys.stderr)
    if settings.at is None or settings.report_directory is None:
        raise click.UsageError(
            'no time is set for backups: write `backup: {at: "03:30"}` into settings.yaml, then'
            " `make generate`; or make a set now with `docker compose run --rm backup now`"
        )
    work = timetable.Work(
        partial(routine.try_to_perform, settings, tell),
        partial(database_drill.try_to_drill, settings, tell),
    )
    claim_watch.start(settings.database, tell)
    timetable.keep_schedule(settings.report_directory, settings.at, settings.drill, work)


@backup.command()
@click.option("--undo", is_flag=True, help="Start the server here again.")
@click.option("--override", metavar="SERVER_NAME", help="Undo without asking the repository.")
@click.option("--to-postgres", "major", default="", hidden=True)
def move(*, undo: bool, override: str | None, major: str) -> None:
    """Shut the server here, and make the set with which it starts on another machine."""
    from .backup.progress import Progress  # noqa: PLC0415
    from .move import departure, homecoming  # noqa: PLC0415

    settings = BackupSettings.from_environ(os.environ)
    if override not in {None, settings.server_name} or (override and not undo):
        raise click.UsageError(
            "--override goes with --undo, and takes the name of this server,"
            f" {settings.server_name}; nothing was changed"
        )
    if undo:
        homecoming.undo_move(settings, Progress(sys.stderr), override=override is not None)
    else:
        departure.move(settings, Progress(sys.stderr), _now, major)


@backup.command()
def drill() -> None:
    """Restore the newest set into a database of its own, and compare everything."""
    from .backup.progress import Progress  # noqa: PLC0415
    from .drill import database_drill  # noqa: PLC0415

    database_drill.drill(BackupSettings.from_environ(os.environ), Progress(sys.stderr))


@main.command()
@click.argument("set_name", metavar="[SET]", required=False)
@click.option(
    "--database", is_flag=True, help="Take the server here back to its own set; keep files."
)
@click.option("--keep-files", is_flag=True, hidden=True)
def restore(set_name: str | None, *, database: bool, keep_files: bool) -> None:
    """Restore the newest set, or SET, into empty volumes; everything is verified first."""
    from .backup.progress import Progress  # noqa: PLC0415
    from .drill import rehearsal  # noqa: PLC0415
    from .restore import restoration, rollback, succession  # noqa: PLC0415

    end_when_asked()
    settings, tell = BackupSettings.from_environ(os.environ), Progress(sys.stderr)
    if database:
        rollback.roll_back(settings, set_name, tell, _now)
    elif keep_files:
        succession.succeed(settings, tell)
    elif settings.drill_file is None:
        restoration.restore(settings, set_name, tell, _now)
    else:
        rehearsal.rehearse(settings, settings.drill_file, set_name, tell, _now)


@main.command("drill")
def prove_drill() -> None:
    """Use a restored server as a client does, where drill.yaml has restored one."""
    from .drill import restored_server  # noqa: PLC0415

    end_when_asked()
    restored_server.prove(DrillSettings.from_environ(os.environ), click.echo)


@main.command()
def bootstrap() -> None:
    """Give volumes their owners; create or repair Synapse's role and database; prove it."""
    from .database.bootstrap import run as run_bootstrap  # noqa: PLC0415

    end_when_asked()
    run_bootstrap(BootstrapSettings.from_environ(os.environ), _now, click.echo)


@main.command("start-empty")
@click.argument("server_name")
def start_empty(server_name: str) -> None:
    """Give up the data that belongs to this folder, and start an empty server."""
    from dataclasses import replace  # noqa: PLC0415

    from .database.bootstrap import run as run_bootstrap  # noqa: PLC0415

    end_when_asked()
    settings = BootstrapSettings.from_environ(os.environ)
    if server_name != settings.server_name:
        raise click.UsageError(
            f"this folder is the server {settings.server_name}; nothing was changed"
        )
    run_bootstrap(replace(settings, start_empty=True), _now, click.echo)


@main.command()
def run() -> None:
    """Keep the certificate fresh and the first accounts made, until asked to stop."""
    # Before the settings are read: a signal to stop meanwhile waits for the supervisor.
    supervisor.hold_signals()
    ServiceSettings.from_environ(os.environ)
    supervisor.become()


@main.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--inside", is_flag=True, help="Leave out what goes through the internet.")
@click.pass_context
def check(context: click.Context, *, as_json: bool, inside: bool) -> None:
    """Prove the running bundle hop by hop; exit code 0 only if everything holds."""
    end_when_asked()
    if context.invoked_subcommand:
        if as_json or inside:
            raise click.UsageError(
                "--json goes after `federation`; --inside cannot be used with it"
            )
        return
    from . import findings_table  # noqa: PLC0415
    from .check import probes, readiness, runner  # noqa: PLC0415
    from .federation import network  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    readiness.wait_for_start(settings, partial(click.echo, err=True), readiness.measure_age())
    chosen = probes.list_probes(settings, inside=inside)
    if settings.outside and not inside:
        chosen += probes.outside_probes(network.open_network())
    rows = runner.run(chosen, settings)
    findings_table.show(rows, as_json=as_json)
    sys.exit(0 if all(row.ok for row in rows) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def updates(*, as_json: bool) -> None:
    """Show what the list of releases says of the versions here; exit code 1 if one has known holes."""
    from . import findings_table  # noqa: PLC0415
    from .updates import update_rows  # noqa: PLC0415

    end_when_asked()
    rows = update_rows.list_rows(ServiceSettings.from_environ(os.environ))
    findings_table.show(rows, as_json=as_json)
    sys.exit(0 if all(row.ok for row in rows) else 1)


@check.command()
@click.argument("server_name")
@click.option("--json", "as_json", is_flag=True, help="Print the Federation Tester's JSON.")
@click.option("--root", type=click.File(), help="Trust these roots too (PEM; - is standard input).")
def federation(server_name: str, *, as_json: bool, root: TextIO | None) -> None:
    """Prove any server as other servers see it; exit code 0 only if they could talk to it."""
    from .federation import command  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    sys.exit(command.show(settings, server_name, root, as_json=as_json))


def _now() -> datetime:
    return datetime.now(UTC)

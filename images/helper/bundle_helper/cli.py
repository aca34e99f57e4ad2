"""The command line of the helper: parses, calls, prints; decides nothing."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, TextIO

import click

from .service import supervisor
from .settings.bootstrap_settings import BootstrapSettings
from .settings.service_settings import ServiceSettings

if TYPE_CHECKING:
    from .settings.certificate_settings import CertificateSettings

# What is imported inside a command is needed there alone: the service stays small in memory,
# and a check starts at once.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Prepare, serve and check a synapse-bundle."""


@main.command()
def bootstrap() -> None:
    """Give volumes their owners; create or repair Synapse's role and database; prove it."""
    from .database.bootstrap import run as run_bootstrap  # noqa: PLC0415

    _end_when_asked()
    run_bootstrap(BootstrapSettings.from_environ(os.environ), _now, click.echo)


@main.command("start-empty")
@click.argument("server_name")
def start_empty(server_name: str) -> None:
    """Give up the data that belongs to this folder, and start an empty server."""
    from dataclasses import replace  # noqa: PLC0415

    from .database.bootstrap import run as run_bootstrap  # noqa: PLC0415

    _end_when_asked()
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
    _end_when_asked()
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
    chosen = probes.PROBES + (probes.PROCESS_PROBES if settings.workers else ())
    if settings.outside and not inside:
        chosen += probes.outside_probes(network.open_network())
    rows = runner.run(chosen, settings)
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


@main.group()
def certificates() -> None:
    """Show, obtain or renew the server's certificate."""


@certificates.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show what is published, who issued it, and the state of its renewal."""
    from .certificates import commands  # noqa: PLC0415

    sys.exit(commands.show_status(_read_certificate(), _now(), as_json=as_json))


@certificates.command()
@click.option("--force", is_flag=True, help="Renew even if it is not due (limits apply).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def renew(*, force: bool, as_json: bool) -> None:
    """Ask for the certificate now; it is renewed only if it is due."""
    from .certificates import certbot, commands  # noqa: PLC0415

    _end_when_asked()
    attempt = certbot.Attempt(force=force)
    sys.exit(commands.make_attempt(_read_certificate(), os.environ, attempt, _now, as_json=as_json))


@certificates.command()
@click.option("--staging", is_flag=True, help="Rehearse: nothing is kept, no limit is used up.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def issue(*, staging: bool, as_json: bool) -> None:
    """Obtain the first certificate now, or rehearse it."""
    from .certificates import certbot, commands  # noqa: PLC0415

    _end_when_asked()
    attempt = certbot.Attempt(rehearsal=staging)
    sys.exit(commands.make_attempt(_read_certificate(), os.environ, attempt, _now, as_json=as_json))


@main.group()
def user() -> None:
    """Manage accounts, without the password of an administrator."""
    _end_when_asked()


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make an administrator of the server.")
def add(name: str, *, admin: bool) -> None:
    """Make an account and print its first password."""
    from .accounts import users  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    click.echo(users.add(settings, name, admin=admin).reveal())


@user.command()
@click.argument("name")
def password(name: str) -> None:
    """Give an account a new password, print it, and end every session of the account."""
    from .accounts import users  # noqa: PLC0415

    renewed = users.renew_password(ServiceSettings.from_environ(os.environ), name)
    click.echo(renewed.reveal() if renewed else "the account of `check` has its password again")


@user.command("list")
def list_users() -> None:
    """Print every account that can sign in, and which are administrators."""
    from .accounts import users  # noqa: PLC0415

    for found in users.find_users(ServiceSettings.from_environ(os.environ)):
        words = [found.user_id, *["administrator"] * found.admin, *["locked"] * found.locked]
        click.echo("  ".join(words))


def _read_certificate() -> CertificateSettings:
    return ServiceSettings.from_environ(os.environ).certificate


def _now() -> datetime:
    return datetime.now(UTC)


def _end_when_asked() -> None:
    # SIGINT too: a shell that starts this in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

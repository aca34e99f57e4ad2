"""The `backup` commands."""

from __future__ import annotations

import os
import sys
from functools import partial

import click

from ..interruption import end_when_asked
from ..settings.backup_settings import BackupSettings
from ..settings.environment import Secret
from .identity import become_owner

# What is imported inside a command is needed there alone.


@click.group()
def backup() -> None:
    """Make sets of the server's data, and show them."""
    end_when_asked()
    become_owner(os.environ)


@backup.command()
@click.option("--new-repository", is_flag=True, help="Use the repository there, or make one.")
def now(*, new_repository: bool) -> None:
    """Make a set now."""
    from .progress import Progress  # noqa: PLC0415
    from .routine import perform  # noqa: PLC0415

    settings = BackupSettings.from_environ(os.environ)
    perform(settings, "manual", Progress(sys.stderr), accept_new=new_repository)


@backup.command("list")
def list_() -> None:
    """Print the complete sets, newest first."""
    from .progress import format_size  # noqa: PLC0415
    from .repository import Repository  # noqa: PLC0415
    from .sets import list_sets  # noqa: PLC0415

    for found in list_sets(Repository(BackupSettings.from_environ(os.environ))):
        manifest = found.manifest
        size = format_size(manifest.dump_bytes)
        click.echo(
            f"{manifest.set}  {manifest.time:%Y-%m-%d %H:%M} UTC  {manifest.kind}  database {size}"
        )


@backup.command()
@click.option("--plain", is_flag=True, help="Print it even if the output is not a terminal.")
def card(*, plain: bool) -> None:
    """Print the recovery card: with it, a bare machine needs nothing else. It is a secret."""
    from .card import write_card  # noqa: PLC0415

    if not plain and not sys.stdout.isatty():
        raise click.UsageError(
            "the recovery card is a secret, and the output is not a terminal; to print it all the"
            " same: --plain"
        )
    click.echo(write_card(BackupSettings.from_environ(os.environ)), nl=False)


@backup.group()
def password() -> None:
    """Change the password of the repository, in two steps of `synapse-bundle rotate`."""


@password.command()
def admit() -> None:
    """Let the password on standard input open the repository too."""
    from . import repository_keys  # noqa: PLC0415

    repository_keys.admit(BackupSettings.from_environ(os.environ), _read_password())


@password.command()
def dismiss() -> None:
    """Let the password on standard input no longer open the repository."""
    from . import repository_keys  # noqa: PLC0415

    settings = BackupSettings.from_environ(os.environ)
    repository_keys.dismiss(settings, _read_password(), partial(click.echo, err=True))


def _read_password() -> Secret:
    text = sys.stdin.readline().rstrip("\n")
    if not text:
        raise click.UsageError("standard input holds no password; nothing was changed")
    return Secret(text)

"""The `retire` commands, which are steps of `synapse-bundle retire`: parse, call, print."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import click

from ..interruption import end_when_asked
from ..settings.service_settings import ServiceSettings

# What is imported inside a command is needed there alone.


@click.group()
def retire() -> None:
    """Take a step of `synapse-bundle retire`."""
    end_when_asked()


@retire.command()
@click.argument("title")
def announce(title: str) -> None:
    """Put the text on standard input into a room called TITLE that everyone on this server is in."""
    from . import announcement  # noqa: PLC0415

    text = sys.stdin.read().strip()
    if not text:
        raise click.UsageError("standard input holds no text; nothing was changed")
    announcement.announce(ServiceSettings.from_environ(os.environ), title, text, click.echo)


@retire.command()
def close() -> None:
    """Deactivate every account, and wait until all have left their rooms."""
    from . import closure  # noqa: PLC0415

    closure.close(ServiceSettings.from_environ(os.environ), click.echo)


@retire.command()
def deliver() -> None:
    """Wait until other servers have what this one still has to tell them."""
    from . import delivery  # noqa: PLC0415

    delivery.await_delivery(ServiceSettings.from_environ(os.environ), click.echo)


@click.command()
@click.argument("set_name", metavar="[SET]", default="")
def shut(set_name: str) -> None:
    """Shut the database for good, with SET as the last set: a step of `synapse-bundle retire`."""
    from ..backup.progress import Progress  # noqa: PLC0415
    from ..settings.backup_settings import BackupSettings  # noqa: PLC0415
    from . import shutting  # noqa: PLC0415

    settings = BackupSettings.from_environ(os.environ)
    shutting.shut(settings, set_name, datetime.now(UTC), Progress(sys.stderr))

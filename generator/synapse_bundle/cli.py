"""The program `synapse-bundle`: its commands, and how it ends where the system refuses something."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from . import __version__
from .commands.check import check
from .commands.generate import generate
from .commands.init import init
from .commands.tunnel import tunnel
from .commands.up import up


class Program(click.Group):
    """The whole program: what the system refuses becomes one line on standard error."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; exit with code 1 where the system refused something."""
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            complaint = _describe_refusal(error)
        with contextlib.suppress(OSError):
            click.echo(f"Error: {complaint}", err=True)
        # What could not be printed must not be tried again on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _describe_refusal(error: OSError) -> str:
    # An error without a file is one of printing.
    if not _has_directory():
        return "the current directory no longer exists; cd to one that does"
    return f"{error.filename or 'standard output'}: {error.strerror or error}"


def _has_directory() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


class Cloudflare(click.Group):
    """The commands of `cloudflare`, imported when one is used: the others work offline."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        from .cloudflare.commands import COMMANDS

        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one of the commands."""
        from .cloudflare.commands import COMMANDS

        return COMMANDS.get(cmd_name)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Your own Matrix server as one Docker Compose folder."""


for _command in (
    init,
    generate,
    up,
    check,
    tunnel,
    Cloudflare("cloudflare", help="Set up tunnel, DNS and Worker at Cloudflare, or undo it."),
):
    main.add_command(_command)

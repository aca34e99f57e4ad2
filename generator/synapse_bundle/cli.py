"""The program `synapse-bundle`: its commands, and how it ends where the system refuses something."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from . import __version__

_COMMANDS: Final = (
    *("init", "generate", "up", "update", "check", "drill", "rotate", "pack", "unpack"),
    *("import", "kubernetes", "upgrade-database", "tunnel", "cloudflare", "retire"),
)
_GROUPS: Final = {
    "cloudflare": "Set up tunnel, DNS and Worker at Cloudflare, or undo it.",
    "retire": "End this server: announce the day, and when it has come, finish.",
}
# Where a command's name is a word of Python's.
_MODULES: Final = {"import": "import_server"}


class Program(click.Group):
    """The whole program. A command is imported when it is used: most runs need one of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of `--help`."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command from the module of its name."""
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _GROUPS:
            return CommandGroup(cmd_name, help=_GROUPS[cmd_name])
        name = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        module = importlib.import_module(f".commands.{name}", __package__)
        command: click.Command = getattr(module, name)
        return command

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; what the system refuses is one line on standard error and exit code 1."""
        # A run ends before its garbage matters; collecting it while modules load takes a twentieth of the run.
        gc.disable()
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


class CommandGroup(click.Group):
    """The commands of a group; `--help` of the program does not import them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the module."""
        return list(self._import())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command from the module of the group's name."""
        return self._import().get(cmd_name)

    def _import(self) -> dict[str, click.Command]:
        module = importlib.import_module(f".commands.{self.name}", __package__)
        commands: dict[str, click.Command] = module.COMMANDS
        return commands


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Your own Matrix server as one Docker Compose folder."""

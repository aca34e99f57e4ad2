"""The command line: parse, call, print. Decisions live in the other modules."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from . import __version__, assets, next_steps, pipeline, secret_input
from .credentials import provided
from .errors import BundleError, SettingsError
from .settings import loading

EXAMPLE = Path(__file__).with_name("settings.example.yaml")
DEFAULT_SETTINGS = Path("settings.yaml")
OTHER_SUFFIX = DEFAULT_SETTINGS.with_suffix(".yml")


def choose_settings(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Return the settings file to read: the one that was named, ./settings.yaml, or none.

    Raises SettingsError where somebody wrote settings and would get the trial.
    """
    # A link that leads nowhere is somebody's settings too.
    if value or os.path.lexists(DEFAULT_SETTINGS):
        return value or DEFAULT_SETTINGS
    if OTHER_SUFFIX.exists():
        raise SettingsError(
            f"{OTHER_SUFFIX} is not read; call it {DEFAULT_SETTINGS}, or name it: --settings"
            f" {OTHER_SUFFIX}"
        )
    return None


settings_option = click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path),
    callback=choose_settings,
    help="Settings file.  [default: settings.yaml; without one, the trial on localhost]",
)
output_option = click.option(
    "--output",
    "bundle",
    type=click.Path(path_type=Path),
    default=Path("bundle"),
    show_default=True,
    help="Directory of the bundle.",
)
token_option = click.option(
    "--token",
    "ask_token",
    is_flag=True,
    help="Ask for the Cloudflare DNS token: a hidden prompt, or standard input.",
)
force_option = click.option(
    "--force", is_flag=True, help="Overwrite files edited by hand, and a newer bundle."
)


class Program(click.Group):
    """The whole program: what the system refuses is one line, whatever ran into it."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; end with exit code 1 where the system refused something."""
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            complaint = describe_refusal(error)
        with contextlib.suppress(OSError):
            click.echo(f"Error: {complaint}", err=True)
        # What could not be printed must not be tried again on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def describe_refusal(error: OSError) -> str:
    """Return one line on what the system refused; an error without a file is one of printing."""
    if not is_somewhere():
        return "the current directory is gone; cd to one that exists"
    return f"{error.filename or 'standard output'}: {error.strerror or error}"


def is_somewhere() -> bool:
    """Tell whether the current directory exists."""
    try:
        Path.cwd()
    except OSError:
        return False
    return True


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Your own Matrix server as one Docker Compose folder."""


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_SETTINGS)
def init(path: Path) -> None:
    """Write a commented settings file to start from; never overwrites one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE.read_text(encoding="utf-8"))
    except FileExistsError:
        raise BundleError(f"{path} exists; edit it, or move it away first") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    click.echo(f"create {path}\n\nNext:  edit {path}, then: {assets.spell('generate')}")


@main.command()
@settings_option
@output_option
@token_option
@force_option
@click.option("--dry-run", is_flag=True, help="Say what would happen; write nothing.")
@click.option("--diff", is_flag=True, help="Show the changes (secrets are never shown).")
@click.option("--verbose", is_flag=True, help="Name every file of the images too.")
def generate(
    settings_path: Path | None,
    bundle: Path,
    *,
    ask_token: bool,
    force: bool,
    dry_run: bool,
    diff: bool,
    verbose: bool,
) -> None:
    """Write the bundle; a second run changes nothing."""
    settings = loading.load(settings_path)
    if ask_token and not settings.certificates.acme:
        raise SettingsError(
            f"The issuer {settings.certificates.issuer!r} needs no DNS token, so none is asked for;"
            " leave --token out, or choose another issuer with the key `certificates`."
        )
    given = {provided.TOKEN: secret_input.read_secret("Cloudflare DNS token")} if ask_token else {}
    pipeline.write(
        settings,
        bundle,
        settings_path,
        given,
        force=force,
        dry_run=dry_run,
        diff=diff,
        verbose=verbose,
    )
    if not dry_run:
        pipeline.show_next(settings, bundle)


@main.command()
@settings_option
@output_option
@force_option
def up(settings_path: Path | None, bundle: Path, *, force: bool) -> None:
    """Write the bundle, start it, wait until it is healthy, check it."""
    from . import engine  # noqa: PLC0415

    settings = loading.load(settings_path)
    pipeline.write(settings, bundle, settings_path, {}, force=force)
    engine.start(bundle, settings.ports)
    for note in engine.describe_images(bundle):
        click.echo(f"note      {note}")
    code = engine.check(bundle, [])
    click.echo(
        f"\nSign in with any Matrix client:\n{next_steps.write_card(settings, bundle, Path())}"
    )
    raise SystemExit(code)


@main.command()
@output_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(bundle: Path, *, as_json: bool) -> None:
    """Prove a running bundle hop by hop."""
    from . import engine  # noqa: PLC0415

    raise SystemExit(engine.check(bundle, ["--json"] if as_json else []))


@main.command()
@click.option("--move", "moves", multiple=True, metavar="NAME=TAG", help="Pin another tag.")
@click.option("--update", is_flag=True, help="Record the digests the tags have now.")
def images(moves: tuple[str, ...], *, update: bool) -> None:
    """Show the pinned third-party images, or move the pins."""
    from . import engine  # noqa: PLC0415
    from . import images as pins  # noqa: PLC0415

    asked = pins.parse_moves(moves)
    wanted = ({name: pin.tag for name, pin in pins.read_pins().items()} if update else {}) | asked
    if wanted:
        pins.move(
            {
                name: (tag, engine.read_digest(f"{pins.read_pins()[name].image}:{tag}"))
                for name, tag in wanted.items()
            }
        )
    for name, pin in pins.read_pins().items():
        click.echo(f"{name:<12} {pin.reference:<36} {pin.digest or 'digest not recorded'}")


@main.group()
def tunnel() -> None:
    """Take over a Cloudflare Tunnel that was made by hand."""


@tunnel.command(name="import")
@settings_option
@output_option
@force_option
def import_tunnel(settings_path: Path | None, bundle: Path, *, force: bool) -> None:
    """Read a tunnel token or credentials file, from a hidden prompt or standard input."""
    settings = loading.load(settings_path)
    if not settings.tunnel:
        raise SettingsError("The settings have no tunnel; add the line `tunnel: cloudflare`.")
    given = {provided.TUNNEL: secret_input.read_secret("Tunnel token")}
    pipeline.write(settings, bundle, settings_path, given, force=force)
    pipeline.show_next(settings, bundle)


class Cloudflare(click.Group):
    """A group of commands that is imported when it is used: the others work offline."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        from .cloudflare.commands import COMMANDS  # noqa: PLC0415

        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one of the commands."""
        from .cloudflare.commands import COMMANDS  # noqa: PLC0415

        return COMMANDS.get(cmd_name)


main.add_command(
    Cloudflare(
        "cloudflare", help="Set up tunnel, DNS and Worker at Cloudflare, and take them back."
    )
)

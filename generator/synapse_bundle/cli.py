"""The command line: parse, call, print. Decisions live in the other modules."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import __version__, card, comparison, credentials, loading, manifest, planning, writing
from .comparison import Action, Change
from .errors import BundleError
from .settings import Settings

EXAMPLE = Path(__file__).with_name("settings.example.yaml")
DEFAULT_SETTINGS = Path("settings.yaml")
COLOURS = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.REMOVE: "red"}


def choose_settings(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Return the settings file to read: the one that was named, ./settings.yaml, or none."""
    return value or (DEFAULT_SETTINGS if DEFAULT_SETTINGS.exists() else None)


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
force_option = click.option("--force", is_flag=True, help="Overwrite files edited by hand.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
    click.echo(f"create {path}\n\nNext:  edit {path}, then: make generate")


@main.command()
@settings_option
@output_option
@token_option
@force_option
@click.option("--dry-run", is_flag=True, help="Say what would happen; write nothing.")
@click.option("--diff", is_flag=True, help="Show the changes (secrets are never shown).")
def generate(
    settings_path: Path | None,
    bundle: Path,
    *,
    ask_token: bool,
    force: bool,
    dry_run: bool,
    diff: bool,
) -> None:
    """Write the bundle; a second run changes nothing."""
    settings = loading.load(settings_path)
    token = read_token() if ask_token else None
    write(settings, bundle, settings_path, token, force=force, dry_run=dry_run, diff=diff)
    if not dry_run:
        root = Path()
        click.echo(f"\n{card.write_next(bundle, root)}\n")
        click.echo(
            f"Then sign in with any Matrix client:\n{card.write_card(settings, bundle, root)}"
        )


@main.command()
@settings_option
@output_option
@force_option
def up(settings_path: Path | None, bundle: Path, *, force: bool) -> None:
    """Write the bundle, start it, wait until it is healthy, check it."""
    from . import engine  # noqa: PLC0415

    settings = loading.load(settings_path)
    write(settings, bundle, settings_path, None, force=force, dry_run=False, diff=False)
    engine.start(bundle, settings.ports)
    code = engine.check(bundle, [])
    click.echo(f"\nSign in with any Matrix client:\n{card.write_card(settings, bundle, Path())}")
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

    wanted = {name: pin.tag for name, pin in pins.read_pins().items()} if update else {}
    wanted |= dict(move.split("=", 1) for move in moves if "=" in move)
    for name, tag in wanted.items():
        reference = f"{pins.read_pins()[name].image}:{tag}"
        pins.move(name, tag=tag, digest=engine.read_digest(reference))
    for name, pin in pins.read_pins().items():
        click.echo(f"{name:<12} {pin.reference:<36} {pin.digest or 'digest not recorded'}")


def read_token() -> str:
    """Return the DNS token: typed in unseen at a terminal, else the first line of a pipe."""
    if sys.stdin.isatty():
        return str(click.prompt("Cloudflare DNS token", hide_input=True)).strip()
    return sys.stdin.readline(1024).strip()


def write(
    settings: Settings,
    bundle: Path,
    settings_path: Path | None,
    token: str | None,
    *,
    force: bool,
    dry_run: bool,
    diff: bool,
) -> None:
    """Plan a bundle, compare it with the disk, and write what differs."""
    writing.check_output(bundle)
    writing.check_neighbour(bundle, settings.project)
    base = settings_path.parent if settings_path else Path()
    with writing.lock(bundle):
        known = manifest.read(bundle, force=force)
        secrets = credentials.collect(bundle, settings, base, token)
        plan = planning.plan(settings, secrets, planning.read_kept(bundle))
        changes = comparison.compare(plan, bundle, known, force=force)
        for change in changes:
            show(change, everything=dry_run)
        if diff:
            click.echo("".join(comparison.show_differences(changes, bundle)), nl=False)
        refuse_conflicts(changes)
        if not dry_run:
            review(plan, changes, bundle)
            writing.apply(plan, changes, bundle, known)
    click.echo(summarize(changes, bundle))


def show(change: Change, *, everything: bool) -> None:
    """Say what happens to one file; what stays as it is goes without saying."""
    if everything or change.action is not Action.IDENTICAL:
        verb = click.style(f"{change.action:<9}", fg=COLOURS.get(change.action))
        click.echo(f"{verb} {change.path}")


def summarize(changes: list[Change], bundle: Path) -> str:
    """Return one line with the number of files of each fate."""
    counts = {action: sum(c.action is action for c in changes) for action in Action}
    told = ", ".join(f"{number} {action}" for action, number in counts.items() if number)
    return f"{bundle}: {told}"


def refuse_conflicts(changes: list[Change]) -> None:
    """Raise BundleError where a file was edited by hand."""
    edited = [f"{change.path}" for change in changes if change.action is Action.CONFLICT]
    if edited:
        raise BundleError(
            f"edited by hand: {', '.join(edited)}. Nothing was written.\n"
            "Put your own settings into a *.override.yaml, or generate with --force to overwrite."
        )


def review(plan: planning.Plan, changes: list[Change], bundle: Path) -> None:
    """Let Compose judge a bundle that is about to change; print what it cannot judge."""
    if all(change.action is Action.IDENTICAL for change in changes):
        return
    # Imported here: a run that changes nothing is quick.
    from . import engine  # noqa: PLC0415

    for note in engine.review(plan.files[-1].content, bundle):
        click.echo(f"note      {note}")

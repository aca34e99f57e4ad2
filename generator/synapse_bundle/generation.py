"""One run of the generator: plan, compare, say what happens, write; then what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from . import card, comparison, credentials, manifest, planning, writing
from .comparison import Action, Change
from .errors import BundleError
from .settings import Settings

COLOURS = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.REMOVE: "red"}


def write(
    settings: Settings,
    bundle: Path,
    settings_path: Path | None,
    given: Mapping[str, str],
    *,
    force: bool,
    dry_run: bool = False,
    diff: bool = False,
) -> None:
    """Plan a bundle, compare it with the disk, and write what differs.

    `given` are secrets that this run was handed, by the name of their file in the bundle.
    """
    writing.check_output(bundle)
    writing.check_neighbour(bundle, settings.project)
    base = settings_path.parent if settings_path else Path()
    with writing.lock(bundle):
        known = manifest.read(bundle, force=force)
        secrets = credentials.collect(bundle, settings, base, given)
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


def show_next(settings: Settings, bundle: Path) -> None:
    """Print what to type next, and how to sign in then."""
    root = Path()
    click.echo(f"\n{card.write_next(bundle, root)}\n")
    click.echo(f"Then sign in with any Matrix client:\n{card.write_card(settings, bundle, root)}")

"""One run of the generator: plan, compare, say what happens, write; then what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath

import click

from . import comparison, manifest, next_steps, planning, writing
from .comparison import Action, Change
from .credentials import collection
from .errors import BundleError
from .settings.model import Settings

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
    verbose: bool = False,
) -> None:
    """Plan a bundle, compare it with the disk, and write what differs.

    `given` are secrets that this run was handed, by the name of their file in the bundle.
    """
    writing.check_output(bundle, force=force)
    writing.check_neighbour(bundle, settings.project)
    base = settings_path.parent if settings_path else Path()
    with writing.lock(bundle):
        known = manifest.read(bundle, force=force)
        secrets = collection.collect(bundle, settings, base, given)
        plan = planning.plan(settings, secrets, planning.read_kept(bundle))
        changes = comparison.compare(plan, bundle, known, force=force)
        # What stays as it is goes without saying.
        shown = [c for c in changes if dry_run or c.action is not Action.IDENTICAL]
        for action, what in tell(shown, verbose=verbose):
            click.echo(f"{click.style(f'{action:<9}', fg=COLOURS.get(action))} {what}")
        if diff:
            click.echo("".join(comparison.show_differences(changes, bundle)), nl=False)
        refuse_conflicts(changes)
        if not dry_run:
            review(plan, changes, bundle)
            writing.apply(plan, changes, bundle, known)
    click.echo(summarize(changes, bundle))


def tell(changes: Iterable[Change], *, verbose: bool) -> Iterator[tuple[Action, str]]:
    """Yield what happens to what: file by file, but an image's context in one line.

    A context is the same for everybody; a conflict in it is told file by file all the same.
    """
    for (action, folder), group in groupby(changes, key=lambda c: (c.action, find_context(c.path))):
        members = list(group)
        if verbose or not folder or action is Action.CONFLICT or len(members) == 1:
            yield from ((action, str(change)) for change in members)
        else:
            yield action, f"{folder}/ ({len(members)} files)"


def find_context(path: PurePosixPath) -> str:
    """Return the image context that a file belongs to, or nothing."""
    return "/".join(path.parts[:2]) if path.parts[:1] == (planning.IMAGES,) else ""


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
    click.echo(f"\n{next_steps.write_next(bundle, root)}\n")
    click.echo(
        f"Then sign in with any Matrix client:\n{next_steps.write_sign_in(settings, bundle, root)}"
    )

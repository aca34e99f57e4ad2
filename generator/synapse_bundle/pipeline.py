"""One run of the generator: plan, compare, show what changes, write; then what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Final

import click

from . import (
    comparison,
    images,
    locking,
    manifest,
    next_steps,
    output_directory,
    planning,
    retirement_record,
    versions,
    writing,
)
from .comparison import Action, FileChange
from .credentials import collection
from .errors import BundleError
from .manifest import Manifest
from .planning import Plan
from .settings.model import Settings

_COLORS: Final = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.REMOVE: "red"}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A plan, what it changes on the disk, and what the last run wrote there."""

    plan: Plan
    changes: list[FileChange]
    manifest: Manifest | None


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
) -> list[FileChange]:
    """Plan a bundle, compare it with the disk, write what differs, and return it.

    `given` are secrets that were given to this run, by the name of their file in the bundle.
    """
    check_place(settings, bundle, force=force)
    base = settings_path.parent if settings_path else Path()
    with locking.lock(bundle):
        prepared = prepare(settings, bundle, base, given, force=force)
        changes = prepared.changes
        shown = [c for c in changes if dry_run or c.action is not Action.IDENTICAL]
        for action, what in _group(shown, verbose=verbose):
            click.echo(f"{click.style(f'{action:<9}', fg=_COLORS.get(action))} {what}")
        if diff:
            click.echo("".join(comparison.show_differences(changes, bundle)), nl=False)
        refuse_conflicts(changes)
        if not dry_run:
            carry_out(prepared, bundle)
    click.echo(_summarize(changes, bundle))
    return changes


def carry_out(prepared: Preparation, bundle: Path) -> None:
    """Write what was prepared, if Compose accepts it; whoever calls it holds the bundle's lock."""
    _review(prepared.plan, prepared.changes, bundle)
    writing.apply(prepared.plan, prepared.changes, bundle, prepared.manifest)


def rehearse(settings: Settings, bundle: Path, base: Path, given: Mapping[str, str]) -> None:
    """Raise what would keep `write` from writing; write nothing."""
    check_place(settings, bundle, force=False)
    refuse_conflicts(prepare(settings, bundle, base, given, force=False).changes)


def check_place(settings: Settings, bundle: Path, *, force: bool) -> None:
    """Raise SettingsError where a bundle may not be written to this directory.

    BundleError if its server was retired.
    """
    retirement_record.refuse_retired(bundle)
    output_directory.check_output(bundle, force=force)
    output_directory.check_neighbor(bundle, settings.project)
    output_directory.check_repository(bundle, settings.backup.repository)


def prepare(
    settings: Settings,
    bundle: Path,
    base: Path,
    given: Mapping[str, str],
    *,
    force: bool,
    postgres: int = 0,
) -> Preparation:
    """Plan a bundle and compare it with the disk; write nothing.

    `base` is the directory that file names in the settings are relative to. `postgres` is another major
    version of PostgreSQL than the bundle has.
    """
    known = manifest.read(bundle, force=force)
    if known and postgres:
        tag = images.choose_pins(postgres)["postgres"].tag
        known = replace(known, images={**known.images, "postgres": tag})
    secrets = collection.collect(bundle, settings, base, given)
    kept = planning.read_kept(bundle)
    plan = planning.plan(settings, secrets, kept, versions.find_major(known))
    changes = comparison.compare(plan, bundle, known, force=force)
    return Preparation(plan=plan, changes=changes, manifest=known)


def _group(changes: Iterable[FileChange], *, verbose: bool) -> Iterator[tuple[Action, str]]:
    """Yield actions and what they affect: every file, but one line for an image's context.

    A context is the same for everyone; a conflict in it is shown file by file all the same.
    """
    for (action, folder), found in groupby(
        changes, key=lambda c: (c.action, _find_context(c.path))
    ):
        members = list(found)
        if verbose or not folder or action is Action.CONFLICT or len(members) == 1:
            yield from ((action, str(change)) for change in members)
        else:
            yield action, f"{folder}/ ({len(members)} files)"


def _find_context(path: PurePosixPath) -> str:
    """Return the image context that a file belongs to, or an empty string."""
    return "/".join(path.parts[:2]) if path.parts[:1] == (planning.IMAGES,) else ""


def _summarize(changes: list[FileChange], bundle: Path) -> str:
    """Return one line that counts the files of each action."""
    counts = {action: sum(c.action is action for c in changes) for action in Action}
    counted = ", ".join(f"{number} {action}" for action, number in counts.items() if number)
    return f"{bundle}: {counted}"


def refuse_conflicts(changes: list[FileChange]) -> None:
    """Raise BundleError where a file was edited by hand."""
    edited = [f"{change.path}" for change in changes if change.action is Action.CONFLICT]
    if edited:
        raise BundleError(
            f"edited by hand: {', '.join(edited)}. Nothing was written.\n"
            "Put your own settings into a *.override.yaml, or generate with --force to overwrite."
        )


def _review(plan: Plan, changes: list[FileChange], bundle: Path) -> None:
    """Let Compose judge a bundle that is about to change; print what it cannot judge."""
    if all(change.action is Action.IDENTICAL for change in changes):
        return
    # Imported here: a run that changes nothing is quick.
    from . import engine

    for note in engine.review(plan.files[-1].content, bundle):
        click.echo(f"note      {note}")


def show_next(settings: Settings, bundle: Path, changes: Iterable[FileChange]) -> None:
    """Print what to type next after these changes, and how to sign in then."""
    root = Path()
    if settings.kubernetes.database:
        click.echo(f"\nNext:  {next_steps.write_conversion(bundle)}")
        return
    smaller = any(change.action is Action.REMOVE for change in changes)
    click.echo(f"\n{next_steps.write_next(bundle, root, smaller=smaller)}\n")
    click.echo(
        f"Then sign in with any Matrix client:\n{next_steps.write_sign_in(settings, bundle, root)}"
    )

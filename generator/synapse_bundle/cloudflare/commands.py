"""The commands `cloudflare plan|apply|destroy|status`: parse, ask, call, print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from .. import generation, imports, loading, writing
from ..cli import output_option, settings_option
from ..errors import BundleError, SettingsError
from . import apply as application
from . import destroy as destruction
from . import local_secrets as bundles
from . import notes as advice
from . import output as presentation
from . import permissions
from . import state as states
from .api_token import (
    VARIABLE,
    Outlook,
    ask_token,
    check_token,
    open_client,
    open_outlook,
    read_file,
    read_token,
)
from .apply_run import Work
from .approval import ALL, FIXES, REPLACEABLE, Consent
from .changes import OPTIONAL, Condition, Part
from .removal import Verb

token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File with the API token, - for standard input.  [default: {VARIABLE}, else a prompt]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask whether to go on.")


@click.command()
@settings_option
@output_option
@token_option
@json_option
def plan(
    settings_path: Path | None, bundle: Path, token_file: Path | None, *, as_json: bool
) -> None:
    """Show what an apply would do; change nothing."""
    outlook = look(settings_path, bundle, token_file)
    if as_json:
        click.echo(write_json(outlook))
        return
    show_plan(outlook)
    for obstacle in outlook.obstacles:
        click.echo(f"{click.style('stop    ', fg='red')} {obstacle}")
    click.echo(f"\n{presentation.count(outlook.changes)}")


@click.command()
@settings_option
@output_option
@token_option
@json_option
def status(
    settings_path: Path | None, bundle: Path, token_file: Path | None, *, as_json: bool
) -> None:
    """Show how everything stands, and whether the tunnel is connected."""
    outlook = look(settings_path, bundle, token_file)
    if as_json:
        click.echo(write_json(outlook))
        return
    click.echo(presentation.write_access(outlook.access))
    show(presentation.write_status(outlook.changes))
    show(presentation.write_notes([*outlook.obstacles, *outlook.notes]))


@click.command()
@settings_option
@output_option
@token_option
@yes_option
@click.option(
    "--replace", "replacing", multiple=True, type=click.Choice(REPLACEABLE),
    help="Replace this although it was not made here; a destroy puts it back.",
)  # fmt: skip
@click.option(
    "--leave", "leaving", multiple=True, type=click.Choice(sorted(map(str, OPTIONAL))),
    help="Leave this as it is, and do without the Worker.",
)  # fmt: skip
@click.option(
    "--fix", "fixing", multiple=True, type=click.Choice((*FIXES, ALL)),
    help="Change this setting of the zone.",
)  # fmt: skip
@click.option(
    "--dns-token-file", type=click.Path(path_type=Path),
    help="File with a DNS token for the helper, where none may be made.",
)  # fmt: skip
@click.option("--adopt", default="", metavar="ID", help="Take over what a lost state had made.")
def apply(
    settings_path: Path | None,
    bundle: Path,
    token_file: Path | None,
    dns_token_file: Path | None,
    adopt: str,
    *,
    yes: bool,
    replacing: tuple[str, ...],
    leaving: tuple[str, ...],
    fixing: tuple[str, ...],
) -> None:
    """Set everything up at Cloudflare and write the bundle; a second run changes nothing."""
    settings = loading.load(settings_path)
    base = settings_path.parent if settings_path else Path()
    given = {imports.TOKEN: check_token(read_file(dns_token_file))} if dns_token_file else {}
    bundles.read_wanted(settings, base)
    bundles.rehearse(settings, bundle, base, given)
    token = read_token(token_file)
    consent = Consent(
        replacing=set(replacing),
        leaving=set(leaving),
        fixing=set(fixing),
        asks=is_somebody_there(),
        yes=yes,
    )
    with writing.lock(bundle):
        outlook = open_outlook(settings, base, bundle, token, adopt)
        if not given and consent.asks:
            given = ask_dns_token(outlook)
        given |= carry_out(outlook.without_minting() if given else outlook, bundle, consent)
    generation.write(settings, bundle, settings_path, given, force=False)
    generation.show_next(settings, bundle)


def ask_dns_token(outlook: Outlook) -> dict[str, str]:
    """Return the helper's DNS token, asked for where it is wanted and may not be made."""
    if all(c.part is not Part.TOKEN or c.condition is not Condition.LEFT for c in outlook.changes):
        return {}
    click.echo(f"{advice.write_token_advice(outlook.found)}\n")
    return {imports.TOKEN: ask_token("DNS token for the helper")}


def carry_out(outlook: Outlook, bundle: Path, consent: Consent) -> dict[str, str]:
    """Show the plan, get every yes it needs, and apply it; return the secrets it gave."""
    first = outlook.state
    outlook = replace(outlook, state=consent.settle(outlook.state))
    show_plan(outlook)
    if outlook.obstacles:
        raise SettingsError("Nothing was changed.", outlook.obstacles)
    consent.ask(outlook.changes)
    outlook = replace(outlook, state=consent.settle(outlook.state))
    chosen = [change for change in outlook.changes if change.verb and consent.agrees(change)]
    if not chosen:
        click.echo("\nnothing to do")
    else:
        consent.confirm(f"Apply {'this' if len(chosen) == 1 else f'these {len(chosen)}'} now?")
        click.echo()
    if chosen or outlook.state != first:
        states.write(bundle, outlook.state)
    work = Work(
        client=outlook.client,
        wanted=outlook.wanted,
        state=outlook.state,
        found=outlook.found,
        save=partial(states.write, bundle),
        say=click.echo,
    )
    application.apply(work, outlook.look, consent.agrees)
    return work.given


@click.command()
@output_option
@token_option
@yes_option
def destroy(bundle: Path, token_file: Path | None, *, yes: bool) -> None:
    """Take back everything that was made, and put back what stood there before."""
    if not states.read(bundle):
        click.echo(f"{bundle} has nothing at Cloudflare; there is no {states.NAME} in it")
        return
    client = open_client(read_token(token_file))
    with writing.lock(bundle):
        # Another run may have changed it until the lock was held.
        state = states.read(bundle) or states.create("")
        permissions.require(client, permissions.list_needs_of(state.made))
        secret = bundles.read_secrets(bundle).token
        planned = destruction.examine(client, state, secret)
        show(presentation.write_undoings(planned))
        Consent(asks=is_somebody_there(), yes=yes).confirm("Do this now?")
        click.echo()
        save = partial(states.write, bundle)
        skipped = 0
        for undone in destruction.destroy(client, state, planned, save, secret):
            show(presentation.write_undoings([undone]))
            skipped += undone.verb is Verb.SKIP
        if skipped:
            raise BundleError(
                f"Everything else is taken back; {skipped} skipped, for the reason above. Run the"
                " command again when that is put right"
            )
        states.remove(bundle)
    click.echo(
        "\nDone. The secrets tunnel.json and a dns_token that was made here are worth nothing now;"
        "\nthe bundle is otherwise as it was."
    )


def look(settings_path: Path | None, bundle: Path, token_file: Path | None) -> Outlook:
    """Return what there is, for a command that changes nothing."""
    settings = loading.load(settings_path)
    base = settings_path.parent if settings_path else Path()
    bundles.read_wanted(settings, base)
    return open_outlook(settings, base, bundle, read_token(token_file))


def is_somebody_there() -> bool:
    """Tell whether a person can be asked."""
    return bool(sys.stdin) and sys.stdin.isatty() and sys.stdout.isatty()


def show_plan(outlook: Outlook) -> None:
    """Print where all this is, what is to be done, and what is worth knowing."""
    click.echo(f"{presentation.write_access(outlook.access)}\n")
    show(presentation.write_plan(outlook.changes))
    show(presentation.write_notes(outlook.notes))


def show(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        click.echo(line)


def write_json(outlook: Outlook) -> str:
    """Return a look as JSON."""
    notes = [*outlook.obstacles, *outlook.notes]
    return presentation.write_json(outlook.access, outlook.state.id, outlook.changes, notes)


COMMANDS: Final[dict[str, click.Command]] = {
    "plan": plan,
    "apply": apply,
    "status": status,
    "destroy": destroy,
}

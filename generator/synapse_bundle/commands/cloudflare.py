"""The commands `cloudflare plan|apply|destroy|status`: parse, ask, call, print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from .. import locking, pipeline
from ..cloudflare import apply as apply_changes
from ..cloudflare import destroy_run, output
from ..cloudflare import state as state_file
from ..cloudflare.api_token import VARIABLE, ask_token, read_token, read_token_file
from ..cloudflare.apply_run import ApplyRun
from ..cloudflare.approval import ALL, Approval
from ..cloudflare.changes import Condition
from ..cloudflare.desired import require_desired
from ..cloudflare.kinds.dns_token import TOKEN, write_advice
from ..cloudflare.kinds.registry import FIXES, LEAVABLE, REPLACEABLE
from ..cloudflare.plan import CloudflarePlan, open_plan
from ..cloudflare.rehearsal import require_writable
from ..cloudflare.session import Session
from ..credentials import file_names
from ..errors import SettingsError
from ..options import output_option, settings_option, yes_option
from ..settings import loading

_token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File with the API token, - for standard input.  [default: {VARIABLE}, else a prompt]",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@settings_option
@output_option
@_token_option
@_json_option
def plan(
    settings_path: Path | None, bundle: Path, token_file: Path | None, *, as_json: bool
) -> None:
    """Show what apply would change; change nothing."""
    planned = _open(settings_path, bundle, token_file)
    if as_json:
        click.echo(_write_json(planned))
        return
    _show_plan(planned)
    _show(output.write_obstacles(planned.obstacles))
    click.echo(f"\n{output.write_count(planned.changes)}")


@click.command()
@settings_option
@output_option
@_token_option
@_json_option
def status(
    settings_path: Path | None, bundle: Path, token_file: Path | None, *, as_json: bool
) -> None:
    """Show every resource and its condition, and whether the tunnel is connected."""
    planned = _open(settings_path, bundle, token_file)
    if as_json:
        click.echo(_write_json(planned))
        return
    click.echo(output.write_access(planned.access))
    _show(output.write_status(planned.changes))
    _show(output.write_notes([*planned.obstacles, *planned.notes]))


@click.command()
@settings_option
@output_option
@_token_option
@yes_option
@click.option(
    "--replace", "replacing", multiple=True, type=click.Choice(REPLACEABLE),
    help="Replace this although it was not created here; destroy restores it.",
)  # fmt: skip
@click.option(
    "--leave", "leaving", multiple=True, type=click.Choice(LEAVABLE),
    help="Leave this as it is, and do without the Worker.",
)  # fmt: skip
@click.option(
    "--fix", "fixing", multiple=True, type=click.Choice((*FIXES, ALL)),
    help="Change this setting of the zone.",
)  # fmt: skip
@click.option(
    "--dns-token-file", type=click.Path(path_type=Path),
    help="File with a DNS token for the helper, if yours may not create one.",
)  # fmt: skip
@click.option("--adopt", default="", metavar="ID", help="Take over what a lost state had created.")
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
    given = {file_names.TOKEN: read_token_file(dns_token_file)} if dns_token_file else {}
    desired = require_desired(settings, base)
    require_writable(settings, bundle, base, given)
    token = read_token(token_file)
    approval = Approval(
        replacing=set(replacing),
        leaving=set(leaving),
        fixing=set(fixing),
        interactive=_is_terminal(),
        yes=yes,
    )
    with locking.lock(bundle):
        planned = open_plan(desired, bundle, _open_session(token), adopt)
        if not given and approval.interactive:
            given = _ask_dns_token(planned)
        given |= _carry_out(planned.without_token() if given else planned, bundle, approval)
    changes = pipeline.write(settings, bundle, settings_path, given, force=False)
    pipeline.show_next(settings, bundle, changes)


def _ask_dns_token(planned: CloudflarePlan) -> dict[str, str]:
    """Return the helper's DNS token, asked for if one is needed and may not be created."""
    conditions = {change.resource: change.condition for change in planned.changes}
    if conditions.get(TOKEN) is not Condition.LEFT:
        return {}
    click.echo(f"{write_advice(planned.access)}\n")
    return {file_names.TOKEN: ask_token("DNS token for the helper")}


def _carry_out(planned: CloudflarePlan, bundle: Path, approval: Approval) -> dict[str, str]:
    """Show the plan, ask for every approval, and apply it; return the secrets that were issued."""
    first = planned.state
    planned = replace(planned, state=approval.settle(planned.state))
    _show_plan(planned)
    if planned.obstacles:
        raise SettingsError("Nothing was changed.", planned.obstacles)
    approval.ask(planned.changes)
    planned = replace(planned, state=approval.settle(planned.state))
    chosen = [change for change in planned.changes if change.verb and approval.covers(change)]
    if not chosen:
        click.echo("\nnothing to do")
    else:
        approval.confirm(f"Apply {'this' if len(chosen) == 1 else f'these {len(chosen)}'} now?")
        click.echo()
    if chosen or planned.state != first:
        state_file.write(bundle, planned.state)
    run = ApplyRun(
        session=planned.session,
        desired=planned.desired,
        state=planned.state,
        found=planned.found,
        save=partial(state_file.write, bundle),
        report=click.echo,
    )
    apply_changes.apply(run, planned.read, approval.covers)
    return run.secrets


@click.command()
@output_option
@_token_option
@yes_option
def destroy(bundle: Path, token_file: Path | None, *, yes: bool) -> None:
    """Delete everything that was created, and restore what was there before."""
    if not destroy_run.has_anything(bundle):
        click.echo(f"{bundle} has nothing at Cloudflare; it does not contain {state_file.NAME}")
        return
    token = read_token(token_file)
    with locking.lock(bundle):
        run = destroy_run.open_run(bundle, token, _wait)
        _show(run.write_plan())
        Approval(interactive=_is_terminal(), yes=yes).confirm("Do this now?")
        click.echo()
        run.carry_out(click.echo)
    click.echo(
        "\nDone. secrets/tunnel.json no longer works, nor does secrets/dns_token if it was created"
        "\nhere; the rest of the bundle is unchanged."
    )


def _open(settings_path: Path | None, bundle: Path, token_file: Path | None) -> CloudflarePlan:
    """Return a plan, for a command that changes nothing."""
    settings = loading.load(settings_path)
    base = settings_path.parent if settings_path else Path()
    desired = require_desired(settings, base)
    return open_plan(desired, bundle, _open_session(read_token(token_file)))


def _open_session(token: str) -> Session:
    """Return a session that reports on standard error when it waits."""
    return Session(token, report=_wait)


def _wait(sentence: str) -> None:
    click.echo(f"{sentence} ...", err=True)


def _is_terminal() -> bool:
    """Return whether there is a terminal to ask at."""
    return bool(sys.stdin) and sys.stdin.isatty() and sys.stdout.isatty()


def _show_plan(planned: CloudflarePlan) -> None:
    click.echo(f"{output.write_access(planned.access)}\n")
    _show(output.write_plan(planned.changes))
    _show(output.write_notes(planned.notes))


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _write_json(planned: CloudflarePlan) -> str:
    notes = [*planned.obstacles, *planned.notes]
    return output.write_json(planned.access, planned.state.id, planned.changes, notes)


COMMANDS: Final[dict[str, click.Command]] = {
    "plan": plan,
    "apply": apply,
    "status": status,
    "destroy": destroy,
}

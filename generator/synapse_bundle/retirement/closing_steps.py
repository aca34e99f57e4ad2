"""The steps of a retirement, in order. Each may be done again, so a run that was cut off is repeated.

The last set is made before any account is closed, because Synapse deletes what an account has: a set from
afterwards would bring back nobody. It is not the final set of a move: that is restored as the newest state
of the server, while this server goes on after it, and tells others that its users have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import engine, retirement_record
from ..errors import BundleError
from ..retirement_record import RetirementRecord, RetirementStage
from ..settings.model import Settings
from . import user_export
from .server_containers import ServerContainers

if TYPE_CHECKING:
    from ..cloudflare.destroy_run import DestroyRun


@dataclass(kw_only=True)
class Retirement:
    """A retirement, and how far it came.

    `keeps_set` is whether there is to be a last set, `export` where each user's data goes, `cloudflare` what
    is to be removed there; both None for nothing.
    """

    settings: Settings
    containers: ServerContainers
    record: RetirementRecord
    keeps_set: bool
    export: Path | None
    cloudflare: DestroyRun | None
    report: Callable[[str], None]

    def note(self, stage: RetirementStage, **changes: str) -> None:
        """Put on disk how far it came."""
        self.record = replace(self.record, stage=stage, **changes)
        retirement_record.write(self.containers.bundle, self.record)


class RetirementStep(NamedTuple):
    """One step: what it says that it does, and the function."""

    title: str
    carry_out: Callable[[Retirement], None]


def list_steps(retirement: Retirement) -> Iterator[RetirementStep]:
    """Yield the steps that are left to do."""
    stage = retirement.record.stage
    if stage < RetirementStage.CLOSING:
        if retirement.keeps_set:
            yield RetirementStep("make a set while the server runs", _make_set)
        yield RetirementStep("close the door", _close_door)
        if retirement.keeps_set:
            yield RetirementStep("make the last set", _make_last_set)
        if retirement.export:
            yield RetirementStep("export what each user has", partial(_export, retirement.export))
        yield RetirementStep("note that accounts are closed from now on", _note_closing)
    if stage < RetirementStage.TOLD:
        yield RetirementStep("close every account", _close_accounts)
        yield RetirementStep("tell other servers", _tell_others)
    if not retirement.settings.database:
        yield RetirementStep("shut the database", _shut_database)
    yield RetirementStep("remove the containers", _remove_containers)
    if retirement.cloudflare:
        yield RetirementStep(
            "remove everything at Cloudflare", partial(_destroy, retirement.cloudflare)
        )
    yield RetirementStep("note that it is done", _note_done)


def _make_set(retirement: Retirement) -> None:
    retirement.containers.run_backup("now")


def _close_door(retirement: Retirement) -> None:
    retirement.containers.stop_door()


def _make_last_set(retirement: Retirement) -> None:
    # Of what came since the first one: nothing can be written any more.
    retirement.containers.run_backup("now")
    name = retirement.containers.find_newest_set()
    retirement.record = replace(retirement.record, set=name)


def _export(place: Path, retirement: Retirement) -> None:
    users = retirement.containers.list_users()
    retirement.containers.stop_synapse()
    user_export.export_users(retirement.containers, users, place, retirement.report)


def _note_closing(retirement: Retirement) -> None:
    retirement.note(RetirementStage.CLOSING)


def _close_accounts(retirement: Retirement) -> None:
    retirement.containers.start_inside()
    retirement.containers.ask_helper("retire", "close")


def _tell_others(retirement: Retirement) -> None:
    retirement.containers.open_door()
    retirement.containers.ask_helper("retire", "deliver")
    retirement.note(RetirementStage.TOLD)


def _shut_database(retirement: Retirement) -> None:
    name = retirement.record.set
    retirement.containers.run_backup("retire", *([name] if name else []))


def _remove_containers(retirement: Retirement) -> None:
    retirement.containers.remove()


def _destroy(run: DestroyRun, retirement: Retirement) -> None:
    run.carry_out(retirement.report)


def _note_done(retirement: Retirement) -> None:
    retirement.note(RetirementStage.DONE)


def perform(retirement: Retirement) -> None:
    """Take every step that is left; BundleError, SettingsError.

    A failure before any account is closed opens the server again, as it was.
    """
    for step in list_steps(retirement):
        retirement.report(f"{step.title} ...")
        try:
            step.carry_out(retirement)
        except BaseException as error:
            if not retirement.record.begun:
                _reopen(retirement, error)
            elif isinstance(error, BundleError):
                raise BundleError(
                    f"{error.message}\nTo go on: synapse-bundle retire finish"
                ) from error
            raise


def _reopen(retirement: Retirement, error: BaseException) -> None:
    retirement.report("no account is closed: starting the server again ...")
    reason = error.message if isinstance(error, BundleError) else "Interrupted."
    try:
        engine.start(retirement.containers.bundle, retirement.settings.ports)
    except BundleError as second:
        raise BundleError(f"{reason} No account is closed, but: {second.message}") from error
    raise BundleError(f"{reason} The server runs on as before.") from error

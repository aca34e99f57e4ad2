"""The one-shot start of a bundle: owners of volumes, role, database, and a report of the proof."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import psycopg

from .. import storage
from ..errors import HelperError
from . import convergence, volumes
from .connection import connect_as_superuser, first_line
from .external import prove_external
from .folder_mark import mark_proved
from .identity_report import describe_identity
from .overtaking import OvertakenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..settings.bootstrap_settings import BootstrapSettings


def run(
    settings: BootstrapSettings, now: Callable[[], datetime], tell: Callable[[str], None]
) -> None:
    """Bring everything to the wanted state and report it; HelperError if that is impossible.

    The report holds a failure too, so that `check` never shows the proof of an earlier run. A copy that
    was overtaken is left shut.
    """
    try:
        proof, identity = _converge(settings, tell)
    except OvertakenError as error:
        # No failure: the helper has to run, which knows the claim and can take the name back.
        with connect_as_superuser(settings) as superuser:
            identity = describe_identity(superuser, settings.database_name)
        _report(settings, now(), {"proof": None, "problem": error.message, **identity})
        tell(error.message)
        return
    except HelperError as error:
        try:
            _report(settings, now(), {"proof": None, "problem": error.message})
        except HelperError as second:
            # On a full disk both fail: the second must not hide the first.
            raise HelperError(f"{error.message} Besides, {second.message}") from error
        raise
    _report(settings, now(), {"proof": asdict(proof), "problem": None, **identity})
    tell(
        f"proved: {proof.role} owns {proof.database}"
        f" ({proof.properties.encoding}, {proof.properties.collation}), has no other attribute, and"
        " is not a member of another role"
    )
    if proof.members:
        tell(_describe_members(settings, proof))


def _describe_members(settings: BootstrapSettings, proof: convergence.DatabaseProof) -> str:
    """Return which roles have Synapse's privileges too, which only the operator can judge."""
    statement, hint = f"REVOKE {proof.role} FROM {proof.members[0]}", ""
    if not settings.external:
        statement = f"docker compose exec postgres psql -U postgres -c '{statement}'"
        hint = f" {convergence.SIGN_IN_HINT}"
    return (
        f"the role {proof.role} has members, which have all its privileges:"
        f" {', '.join(proof.members)}. If you do not want that, revoke it from each with"
        f" `{statement}`.{hint}"
    )


def _converge(
    settings: BootstrapSettings, tell: Callable[[str], None]
) -> tuple[convergence.DatabaseProof, dict[str, object]]:
    for change in volumes.ensure_owners(settings.volume_owners):
        tell(change)
    try:
        found = (prove_external if settings.external else _prove_own)(settings, tell)
        if settings.folder_file is not None:
            mark_proved(settings, settings.folder_file)
    except psycopg.Error as error:
        raise HelperError(
            f"PostgreSQL refused a statement: {first_line(error)}. See {_name_log(settings)}, then"
            " `docker compose up -d`.",
        ) from error
    return found


def _prove_own(
    settings: BootstrapSettings, tell: Callable[[str], None]
) -> tuple[convergence.DatabaseProof, dict[str, object]]:
    with connect_as_superuser(settings, tell=tell) as superuser:
        for change in convergence.converge(superuser, settings):
            tell(change)
        identity = describe_identity(superuser, settings.database_name)
    return convergence.prove(settings), identity


def _report(settings: BootstrapSettings, now: datetime, outcome: dict[str, object]) -> None:
    storage.write_json(settings.report_file, {"time": now.isoformat(timespec="seconds"), **outcome})


def _name_log(settings: BootstrapSettings) -> str:
    return "the log of the database" if settings.external else "`docker compose logs postgres`"

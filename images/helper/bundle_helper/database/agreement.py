"""Folder and data have the same id before anything starts, or the start is refused with the ways on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HelperError
from .instance import (
    InstanceRecord,
    create_id,
    read_folder,
    read_record,
    write_folder,
    write_record,
)
from .retired import refuse_retired

if TYPE_CHECKING:
    import psycopg

    from ..settings.bootstrap_settings import BootstrapSettings
    from ..settings.database_settings import DatabaseSettings


def agree(
    superuser: psycopg.Connection, settings: BootstrapSettings, *, has_data: bool
) -> tuple[str, ...]:
    """Make folder and data have the same id; return one sentence per change.

    `has_data` says that Synapse's database holds tables. `superuser` is connected to the database
    `postgres`, or as Synapse's role to an external one. HelperError if the folder belongs to other data than this, or to data that is not here.
    """
    record = read_record(superuser, settings.database_name)
    if record is not None:
        _refuse_unusable(record)
    of_folder, of_data = read_folder(settings), record and record.id
    if of_folder and of_data not in {None, of_folder}:
        raise HelperError(_explain_other(settings))
    if of_folder and of_data is None and not has_data and not settings.start_empty:
        raise HelperError(_explain_missing(settings))
    known = of_data or ("" if settings.start_empty else of_folder)
    chosen = known or create_id()
    changes = []
    if of_data is None:
        write_record(superuser, settings.database_name, InstanceRecord(id=chosen, epoch=1))
        changes.append(
            "gave the database the id of this folder" if known else "made a new server id"
        )
        if settings.start_empty and settings.claim_directory is not None:
            changes.append(_explain_claim(settings.server_name))
    if of_folder != chosen:
        write_folder(settings, chosen)
        changes.append("wrote the id of the database into secrets/instance")
    return tuple(changes)


def _refuse_unusable(record: InstanceRecord) -> None:
    if record.restoring:
        raise HelperError(
            f"a restore of the set {record.restoring} was interrupted, so the data here is not whole."
            " Nothing was changed. Run `docker compose run --rm restore` again,"
            " then `docker compose up -d`."
        )
    refuse_retired(record)
    if record.importing:
        raise HelperError(
            "an import was interrupted, so the data here is not whole. Nothing was changed. Run the same"
            " `synapse-bundle import` again, which begins anew."
        )
    if record.moved and record.moved.postgres:
        raise HelperError(
            f"this data has been on its way to PostgreSQL {record.moved.postgres} since"
            f" {record.moved.time}. Nothing was changed. Go on with `synapse-bundle upgrade-database`, or"
            " go back with `synapse-bundle upgrade-database --undo`."
        )
    if record.moved:
        raise HelperError(
            f"this server moved to another machine on {record.moved.time}. Nothing was changed. If it"
            " runs there, leave it stopped here. The way back, as long as nobody has restored it"
            " elsewhere: `docker compose run --rm backup move --undo`, then `docker compose up -d`."
        )


def _explain_other(settings: DatabaseSettings) -> str:
    place, remedy = "these volumes hold", "its own `project` and volumes"
    if settings.external:
        place, remedy = f"the database {settings.database_name} holds", "a database of its own"
    return (
        f"{place} the data of another server: secrets/instance and the database have"
        f" different ids. Nothing was changed. Give this folder {remedy},"
        " or put the folder back that belongs to this data."
    )


def _explain_missing(settings: DatabaseSettings) -> str:
    server_name, place = settings.server_name, "the volumes here are"
    remedy = "Restore the data: `docker compose run --rm restore`"
    if settings.external:
        name = settings.database_name
        place = f"the database {name} at {settings.database_host} is"
        remedy = (
            f"Copy the data into it: `pg_dump -Fc` of the old one, `pg_restore --no-owner -d {name}`"
            f" as the role {settings.database_role}"
        )
    return (
        f"this folder belongs to the server {server_name}, which has data, and {place}"
        " empty. Nothing was changed. There are two ways to continue:\n"
        f"1. {remedy}, then `docker compose up -d`.\n"
        "2. Give up all its accounts, rooms and files for good, and start an empty server: other"
        " servers will refuse it in the rooms that it was in. To do so, type"
        f" `docker compose run --rm bootstrap start-empty {server_name}`, then"
        " `docker compose up -d`."
    )


def _explain_claim(server_name: str) -> str:
    return (
        "the former server's claim to its name may still be in DNS, and keeps this one from serving."
        " Once it has started with `docker compose up -d`, type"
        f" `docker compose exec helper claim take {server_name}`, which takes half a minute"
    )

"""The order of an import: the data is marked as half imported, replaced, compared, and marked as whole.

Between `begin` and `finish` Synapse's own program copies an SQLite database. As long as the mark
stands the bootstrap refuses to start, and only then may the next import delete what it finds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..backup.progress import format_size
from ..database import convergence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import InstanceRecord
from ..database.role import ensure_role
from ..errors import HelperError
from ..restore import checks, loading
from . import dump_file, identity_check, sqlite_copy, sqlite_database
from .carried_secrets import read_secrets
from .homeserver_config import read_config
from .media_copy import copy_media

if TYPE_CHECKING:
    import psycopg

    from ..backup.progress import Progress
    from ..settings.import_settings import ImportSettings
    from .homeserver_config import ForeignConfig

_LOCK_PATIENCE: Final = "1s"
_FIRST_EPOCH: Final = 1
# What synapse_port_db leaves out, because Synapse can make it: its admin API's job `regenerate_directory`.
_REGENERATE_DIRECTORY: Final = """
INSERT INTO public.background_updates (update_name, progress_json, depends_on) VALUES
    ('populate_user_directory_createtables', '{}', ''),
    ('populate_user_directory_process_rooms', '{}', 'populate_user_directory_createtables'),
    ('populate_user_directory_process_users', '{}', 'populate_user_directory_process_rooms'),
    ('populate_user_directory_cleanup', '{}', 'populate_user_directory_process_users')
ON CONFLICT DO NOTHING
"""


def begin(settings: ImportSettings, tell: Progress) -> None:
    """Empty the target, and load a dump, or copy an SQLite database for Synapse to read.

    HelperError if the target holds anything that no import has left there, or the source cannot be read.
    """
    backup, database = settings.backup, settings.backup.database
    config = read_config(settings.source)
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        convergence.lock(superuser, _LOCK_PATIENCE)
        record = instance.read_record(superuser, database.database_name)
        if record is None or record.importing is None:
            checks.require_stopped(superuser, database)
            checks.require_empty(superuser, backup, record)
            record = InstanceRecord(id=instance.create_id(), epoch=_FIRST_EPOCH)
        record = replace(record, importing=config.server_name)
        instance.write_record(superuser, database.database_name, record)
        loading.shut_out(superuser, database)
        loading.create_empty(superuser, database)
        ensure_role(superuser, database)
        convergence.revoke_public(superuser, database)
    if settings.dump is not None:
        tell("loading the dump")
        dump_file.load_dump(backup, settings.dump)
    elif config.sqlite is not None:
        sqlite_copy.copy_database(config.sqlite, settings.copy, backup.media_owner)


def finish(settings: ImportSettings, tell: Progress) -> None:
    """Compare what arrived, copy the files, and let the server start; HelperError if anything is missing."""
    database = settings.backup.database
    config = read_config(settings.source)
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        convergence.lock(superuser, _LOCK_PATIENCE)
        record = instance.read_record(superuser, database.database_name)
        if record is None or record.importing is None:
            raise HelperError("no import has begun here. Nothing was changed.")
        with loading.connect_to_data(database) as connection:
            _prove_database(settings, config, connection, tell)
        _copy_files(settings, config, tell)
        _admit(settings, superuser, record)
    sqlite_copy.delete_copy(settings.copy)


def _prove_database(
    settings: ImportSettings, config: ForeignConfig, connection: psycopg.Connection, tell: Progress
) -> None:
    tell("comparing the database")
    faults = list(
        identity_check.list_faults(connection, settings.backup.server_name, read_secrets(config))
    )
    if settings.dump is None:
        with sqlite_database.open_copy(settings.copy) as copy:
            faults += sqlite_database.compare_rows(copy, connection, tell)
        connection.execute("DROP TABLE IF EXISTS public.port_from_sqlite3")
        connection.execute(_REGENERATE_DIRECTORY)
    if faults:
        raise HelperError(
            "what arrived is not the server:\n  "
            + "\n  ".join(faults)
            + "\nIt does not start with it. Correct the source, then run this again."
        )
    connection.execute("ANALYZE")


def _copy_files(settings: ImportSettings, config: ForeignConfig, tell: Progress) -> None:
    if config.media is None:
        raise HelperError(f"the folder of the files, {config.media_name}, is not there any more.")
    tell("copying the files")
    backup = settings.backup
    total = copy_media(
        config.media, backup.media_directory, backup.media_owner, tell.follow("files")
    )
    tell(f"copied and compared {total.files} files, {format_size(total.size)}")
    if settings.dump is None and config.sqlite is not None:
        sqlite_copy.require_unchanged(config.sqlite, settings.copy)


def _admit(settings: ImportSettings, superuser: psycopg.Connection, record: InstanceRecord) -> None:
    """Make the data this folder's own; the very last step says that it is whole."""
    database = settings.backup.database
    instance.write_folder(database, record.id)
    convergence.prove(database)
    instance.write_record(superuser, database.database_name, replace(record, importing=None))

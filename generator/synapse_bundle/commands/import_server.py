"""`synapse-bundle import`: another Synapse becomes the server of this bundle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from .. import engine, import_project, locking, next_steps, pipeline
from ..comparison import Action
from ..credentials import carried
from ..credentials.file_names import (
    DIRECTORY,
    INSTANCE,
    PASSWORD_PEPPER,
    ROLE_PASSWORD,
    SIGNING_KEY,
)
from ..errors import SettingsError
from ..import_project import ImportProject, Source
from ..options import output_option, settings_option
from ..settings import loading
from ..settings.model import Settings


@click.command("import")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--volume", default="", metavar="NAME", help="A Docker volume, in place of FOLDER.")
@click.option(
    "--database",
    "dump",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A dump of its PostgreSQL database, made by pg_dump -Fc.",
)
@settings_option
@output_option
@click.option("--dry-run", is_flag=True, help="Show what would be imported; change nothing.")
def import_server(
    folder: Path | None,
    volume: str,
    dump: Path | None,
    settings_path: Path | None,
    bundle: Path,
    *,
    dry_run: bool,
) -> None:
    """Make another Synapse the server of this bundle: accounts, sessions, rooms, files and keys.

    FOLDER holds its homeserver.yaml, signing key and files, and is only read. The bundle must be
    empty: an import that was cut off is repeated whole.
    """
    settings = loading.load(settings_path)
    source = _choose_source(folder, volume, dump)
    _require_place(settings, bundle)
    engine.require_docker()
    base = settings_path.parent if settings_path else Path()
    with locking.lock(bundle), import_project.open_project(bundle, source) as project:
        _require_current(settings, bundle, base)
        found = project.inspect()
        secrets = _judge(found, bundle)
        if dry_run:
            click.echo("\nIt can be imported. Nothing was changed.")
            return
        _import(project, settings, bundle, base, secrets, sqlite=found["sqlite"])
    _start(settings, bundle)


def _choose_source(folder: Path | None, volume: str, dump: Path | None) -> Source:
    if bool(folder) == bool(volume):
        raise SettingsError(
            "Name the folder of the other server, or its Docker volume with --volume; not both."
        )
    if folder and not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder; nothing was changed.")
    if dump and not dump.is_file():
        raise SettingsError(f"{dump} is not a file; nothing was changed.")
    return Source(folder=folder and folder.resolve(), volume=volume, dump=dump and dump.resolve())


def _require_place(settings: Settings, bundle: Path) -> None:
    if settings.has_external_database or settings.kubernetes.database:
        raise SettingsError(
            "The database of this bundle is run by somebody else, who has to load the other server's data into"
            " it; nothing was changed."
        )
    engine.require_bundle(bundle)
    pipeline.check_place(settings, bundle, force=False)


def _require_current(settings: Settings, bundle: Path, base: Path) -> None:
    """Raise SettingsError unless the bundle is what the settings say: its images do the work."""
    changes = pipeline.prepare(settings, bundle, base, {}, force=False).changes
    if any(change.action is not Action.IDENTICAL for change in changes):
        raise SettingsError(
            f"{bundle} is not what the settings and this version make of it; nothing was changed. Write it"
            " first: synapse-bundle generate"
        )


def _judge(found: Mapping[str, Any], bundle: Path) -> dict[str, str]:
    """Show what was found and return the secrets that go on; SettingsError if it cannot be imported."""
    for name, text in found["rows"]:
        click.echo(f"{name:<12} {text}")
    if found["problems"]:
        raise SettingsError(
            "This server cannot be imported; nothing was changed.", found["problems"]
        )
    secrets = carried.convert(found["secrets"], datetime.now(UTC))
    directory = bundle / DIRECTORY
    if (directory / PASSWORD_PEPPER).exists():
        # Of another import, into this folder: without a pepper there it must not be used here.
        secrets = {PASSWORD_PEPPER: "", **secrets}
    own = (directory / SIGNING_KEY).read_text(encoding="utf-8").strip()
    if (directory / INSTANCE).read_text(encoding="utf-8").strip() and own != secrets[SIGNING_KEY]:
        raise SettingsError(
            f"{bundle} belongs to a server that has run, with another signing key; nothing was changed. Import"
            " into a new bundle: --output NAME, and a `project` of its own in the settings."
        )
    return secrets


def _import(
    project: ImportProject,
    settings: Settings,
    bundle: Path,
    base: Path,
    secrets: Mapping[str, str],
    *,
    sqlite: bool,
) -> None:
    click.echo("\nReading the database ...")
    project.ask_helper("begin")
    prepared = pipeline.prepare(settings, bundle, base, secrets, force=False)
    pipeline.refuse_conflicts(prepared.changes)
    pipeline.carry_out(prepared, bundle)
    password = (bundle / DIRECTORY / ROLE_PASSWORD).read_text(encoding="utf-8").removesuffix("\n")
    postgres = import_project.configure(
        settings.server_name, import_project.name_postgres(password)
    )
    if sqlite:
        click.echo("Bringing the copy of the database up to date ...")
        own = import_project.configure(settings.server_name, import_project.name_copy())
        project.ask_synapse(
            "update_synapse_database",
            *("--run-background-updates", "--database-config", "-"),
            configuration=own,
        )
        click.echo("Copying it into PostgreSQL ...")
        files = ("--sqlite-database", own["database"]["args"]["database"], "--postgres-config", "-")
        project.ask_synapse("synapse_port_db", *files, configuration=postgres)
    else:
        click.echo("Bringing the database up to date ...")
        project.ask_synapse(
            "update_synapse_database", "--database-config", "-", configuration=postgres
        )
    project.ask_helper("finish")


def _start(settings: Settings, bundle: Path) -> None:
    click.echo("\nStarting the server ...")
    engine.start(bundle, settings.ports)
    code = engine.check(bundle, [])
    sign_in = next_steps.write_sign_in(settings, bundle, Path())
    click.echo(
        f"\nImported. Leave the old server stopped: two of one name damage each other.\n{sign_in}"
    )
    raise SystemExit(code)

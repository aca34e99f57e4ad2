"""`synapse-bundle unpack`: a packed bundle on a machine without registry or internet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .. import next_steps
from ..archive import extraction, staging
from ..archive.amount import write_amount
from ..archive.archive_file import open_archive
from ..database_place import runs_database
from ..errors import BundleError, SettingsError
from ..options import output_option

if TYPE_CHECKING:
    from ..archive.archive_file import ArchiveFile
    from ..image_transfer import EngineKind

_START: Final = "docker compose up -d"


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default="bundle.tar")
@output_option
def unpack(file: Path, bundle: Path) -> None:
    """Unpack a bundle from FILE, and load its images; needs no internet.

    FILE is bundle.tar unless you name another. A folder that exists is never overwritten.
    """
    from .. import image_transfer

    staging.require_absent(bundle)
    if not bundle.absolute().parent.is_dir():
        raise SettingsError(f"{bundle.parent} is not a directory; make it, or choose another one")
    with open_archive(file) as archive:
        kind = image_transfer.describe_engine()
        _require_same(archive, kind)
        extraction.require_room(archive, bundle.absolute().parent)
        click.echo(f"{file} holds {archive.index.server_name}, {write_amount(archive.size)}.")
        with click.progressbar(length=archive.size, label="Verifying") as bar:
            archive.verify(bar.update)
        with staging.stage_directory(bundle) as staged:
            extraction.extract_folder(archive, staged)
            _load(archive, kind)
    click.echo(f"create {bundle}\n\n{_write_next(archive, bundle)}")


def _require_same(archive: ArchiveFile, kind: EngineKind) -> None:
    """Raise SettingsError for images of another architecture than the engine's."""
    packed = archive.index.architecture
    if packed != kind.architecture:
        raise SettingsError(
            f"{archive.path} holds images for {packed}, and this machine is {kind.architecture};"
            f" nothing was changed. Copy the folder alone and run `docker compose up -d --build`"
            " where there is internet"
        )


def _load(archive: ArchiveFile, kind: EngineKind) -> None:
    """Load the images and compare them; raise BundleError where one is not the packed one."""
    from .. import image_transfer

    expected = archive.index.images
    before = image_transfer.find_images(expected)
    with click.progressbar(length=archive.images.size, label="Loading the images") as bar:
        image_transfer.load_images(archive.read(archive.images, bar.update))
    found = image_transfer.find_images(expected)
    same_store = archive.index.image_store == kind.image_store
    differing = image_transfer.list_differences(expected, found, same_store=same_store)
    if differing:
        raise BundleError(
            f"The engine's images are not those of {archive.path}; {len(differing)} of"
            f" {len(expected)} differ, and the folder was not written.\n  " + "\n  ".join(differing)
        )
    for name, image in before.items():
        if image.id != found[name].id:
            click.echo(f"note      {name} was {image.id} here, and is now the packed image")


def _write_next(archive: ArchiveFile, bundle: Path) -> str:
    """Return what to type next: a folder that has had data is refused until it has data again."""
    following = next_steps.write_next(bundle, Path())
    if not archive.index.started:
        return following
    if not runs_database(bundle):
        return (
            f"{following}\n       (first stop the server on the other machine, which uses the same database,"
            " and copy its volume media)"
        )
    restoring = following.replace(_START, f"docker compose run --rm restore && {_START}")
    return f"{restoring}\n       (without the restore if the server's volumes are on this machine)"

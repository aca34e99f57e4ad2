"""`synapse-bundle pack`: one file that holds the bundle and every image it needs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .. import __version__, assets, locking, manifest
from ..archive import creation, folder, staging
from ..archive.amount import write_amount
from ..archive.index import ArchiveIndex
from ..credentials import file_names
from ..errors import BundleError, SettingsError
from ..options import output_option

if TYPE_CHECKING:
    from ..archive.folder import FolderListing
    from ..archive.index import PackedImage
    from ..image_transfer import EngineKind

_FILE: Final = "bundle.tar"
# Bytes of the headers and the index, generously.
_OVERHEAD: Final = 4 << 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=_FILE)
@output_option
@click.option(
    "--with-backups", is_flag=True, help="Take along the backup repositories in the folder too."
)
def pack(file: Path, bundle: Path, *, with_backups: bool) -> None:
    """Pack the bundle and its images into one FILE, for a machine without internet.

    FILE is bundle.tar unless you name another. It holds every secret of the server, unencrypted.
    """
    from .. import image_transfer

    _require_place(file, bundle)
    needs = image_transfer.read_needs(bundle)
    with locking.lock(bundle):
        listing = folder.list_folder(bundle, with_backups=with_backups)
        _require_repository(listing, bundle, with_backups=with_backups)
        images = image_transfer.require_images(needs.images)
        kind = image_transfer.describe_engine()
        description = _describe(bundle, listing, images, kind, with_backups=with_backups)
        size = image_transfer.estimate_size(images)
        _announce(file, listing, needs.outside, size, with_backups=with_backups)

        def confirm() -> None:
            listing.require_unchanged(folder.list_folder(bundle, with_backups=with_backups))
            if image_transfer.find_images(needs.images) != images:
                raise BundleError("an image was replaced while it was packed; try again")

        with click.progressbar(length=listing.size + size, label="Packing") as bar:
            stream = image_transfer.save_images(images)
            creation.write_archive(
                file, listing, stream, description, report=bar.update, confirm=confirm
            )
    click.echo(
        f"create {file} ({write_amount(file.stat().st_size)}, readable only by you)\n\n"
        f"Next:  copy it to the other machine, and there: {assets.spell('unpack')}"
    )


def _require_place(file: Path, bundle: Path) -> None:
    """Raise SettingsError where there is no bundle, or the file would be in its own way."""
    if not (bundle / "compose.yaml").is_file():
        raise SettingsError(
            f"{bundle} holds no bundle; make one with: {assets.spell('generate')}, or name it with"
            " --output"
        )
    staging.require_absent(file)
    if file.resolve().is_relative_to(bundle.resolve()):
        raise SettingsError(f"{file} would be inside the bundle; choose a place outside {bundle}")
    if not file.parent.is_dir():
        raise SettingsError(f"{file.parent} is not a directory; make it, or choose another FILE")


def _require_repository(listing: FolderListing, bundle: Path, *, with_backups: bool) -> None:
    """Raise SettingsError where backups are wanted and there are none."""
    if with_backups and not listing.repositories:
        raise SettingsError(
            f"{bundle} holds no backup repository; leave --with-backups out, or make a backup first"
        )


def _describe(
    bundle: Path,
    listing: FolderListing,
    images: Mapping[str, PackedImage],
    kind: EngineKind,
    *,
    with_backups: bool,
) -> ArchiveIndex:
    """Return the archive's index without its members."""
    known = manifest.read(bundle, force=True)
    instance = bundle / file_names.DIRECTORY / file_names.INSTANCE
    return ArchiveIndex(
        version=__version__,
        server_name=known.server_name if known else "",
        project=known.project if known else "",
        packed=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=kind.architecture,
        image_store=kind.image_store,
        started=instance.is_file() and bool(instance.read_text(encoding="utf-8").strip()),
        repositories=tuple(listing.repositories) if with_backups else (),
        images=images,
        members=(),
    )


def _announce(
    file: Path,
    listing: FolderListing,
    outside: tuple[str, ...],
    images: int,
    *,
    with_backups: bool,
) -> None:
    """Say what is going to be written, and what is not; raise SettingsError where it does not fit."""
    size = listing.size + images + _OVERHEAD
    click.echo(
        f"{file} will have about {write_amount(size)}: the folder {write_amount(listing.size)}, the"
        f" images {write_amount(images)}.\n"
        "It holds every secret of the server, unencrypted: keep it as you would keep the keys."
    )
    for path in () if with_backups else listing.repositories:
        click.echo(f"note      {path} stays here; --with-backups takes it along")
    for source in outside:
        click.echo(f"note      {source} is outside the folder and stays here; the bundle mounts it")
    free = shutil.disk_usage(file.parent).free
    if free < size:
        raise SettingsError(f"{file.parent} has {write_amount(free)} free; choose another place")

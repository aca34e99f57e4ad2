"""`synapse-bundle pack`: one file that holds the bundle and every image it needs."""

from __future__ import annotations

import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .. import __version__, assets, locking, manifest
from ..archive import creation, folder, staging
from ..archive.amount import write_amount
from ..archive.index import ArchiveIndex
from ..archive.members import FOLDER, IMAGES
from ..credentials import file_names
from ..errors import BundleError, SettingsError
from ..options import output_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..archive.folder import FolderListing
    from ..archive.index import PackedImage
    from ..image_transfer import ComposeNeeds

# Bytes of the headers and the index, generously.
_OVERHEAD: Final = 4 << 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default="bundle.tar")
@output_option
@click.option("--with-backups", is_flag=True, help="Pack the backup repositories in it too.")
def pack(file: Path, bundle: Path, *, with_backups: bool) -> None:
    """Pack the bundle and its images into one FILE, for a machine without internet.

    FILE is bundle.tar unless you name another. It holds every secret of the server, unencrypted.
    """
    from .. import image_transfer

    _require_place(file, bundle)
    needs = image_transfer.read_needs(bundle)
    with locking.lock(bundle):
        listing = folder.list_folder(bundle, with_backups=with_backups)
        if with_backups and not listing.repositories:
            raise SettingsError(
                f"{bundle} holds no backup repository; make a backup first, or leave --with-backups"
                " out"
            )
        images = image_transfer.require_images(needs.images)
        size = listing.size + image_transfer.estimate_size(images)
        _announce(file, listing, needs, size)
        _write(file, listing, images, size)
    click.echo(f"create {file} ({write_amount(file.stat().st_size)}, readable only by you)")
    click.echo(f"\n{_write_next(shlex.quote(file.name))}")


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


def _announce(file: Path, listing: FolderListing, needs: ComposeNeeds, size: int) -> None:
    """Say what is going to be written, and what is not; raise SettingsError where it does not fit."""
    click.echo(
        f"{file} will have about {write_amount(size)}: the folder ({write_amount(listing.size)})"
        f" and {len(needs.images)} images.\n"
        "It will hold every secret of the server, unencrypted: guard it, and delete it after use."
    )
    for path in listing.repositories if not listing.with_backups else ():
        click.echo(f"note      {path} stays here; --with-backups packs it too")
    for source in needs.outside:
        click.echo(f"note      {source} is mounted, but is not in the folder, and stays here")
    free = shutil.disk_usage(file.parent).free
    if free < size + _OVERHEAD:
        raise SettingsError(
            f"{file.absolute().parent} has only {write_amount(free)} free; choose another place"
        )


def _write(
    file: Path, listing: FolderListing, images: Mapping[str, PackedImage], size: int
) -> None:
    """Write the archive; raise BundleError where folder or images were changed meanwhile."""
    from .. import image_transfer

    def confirm() -> None:
        listing.require_unchanged()
        if image_transfer.find_images(images) != images:
            raise BundleError("An image was replaced while it was packed; try again.")

    description = _describe(listing, images)
    with click.progressbar(length=size, label="Packing") as bar:
        stream = image_transfer.save_images(images)
        creation.write_archive(
            file, listing, stream, description, report=bar.update, confirm=confirm
        )


def _describe(listing: FolderListing, images: Mapping[str, PackedImage]) -> ArchiveIndex:
    """Return the archive's index without its members."""
    from .. import image_transfer

    identity = manifest.read(listing.root, force=True)
    if not identity:
        raise SettingsError(f"{listing.root} has a compose.yaml that is not of a bundle")
    kind = image_transfer.describe_engine()
    instance = listing.root / file_names.DIRECTORY / file_names.INSTANCE
    return ArchiveIndex(
        version=__version__,
        server_name=identity.server_name,
        project=identity.project,
        packed=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=kind.architecture,
        image_store=kind.image_store,
        started=instance.is_file() and instance.stat().st_size > 1,
        repositories=tuple(listing.repositories) if listing.with_backups else (),
        images=images,
        members=(),
    )


def _write_next(name: str) -> str:
    """Return what to type on the other machine, with this program and without."""
    verb = assets.spell("unpack")
    option = "FILE=" if verb.startswith("make") else ""
    return (
        f"Next:  copy it to the other machine, and there: {verb} {option}{name}\n"
        f"       Without this program: tar -xpf {name} {FOLDER} && tar -xOf {name} {IMAGES} |"
        " docker load"
    )

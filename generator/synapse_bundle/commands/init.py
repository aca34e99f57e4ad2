"""`synapse-bundle init`: a commented settings file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from .. import assets
from ..errors import BundleError
from ..options import SETTINGS


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=SETTINGS)
def init(path: Path) -> None:
    """Write a commented settings file to start from; never overwrites one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(assets.EXAMPLE.read_text(encoding="utf-8"))
    except FileExistsError:
        raise BundleError(f"{path} exists; edit it, or move it away first") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    click.echo(f"create {path}\n\nNext:  edit {path}, then: {assets.spell('generate')}")

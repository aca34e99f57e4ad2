"""The `import` commands, which `synapse-bundle import` runs; the first prints JSON for it."""

from __future__ import annotations

import json
import os
import sys

import click

from ..backup.progress import Progress
from ..interruption import end_when_asked
from ..settings.import_settings import ImportSettings


@click.group("import")
def import_group() -> None:
    """Make another Synapse the server of this bundle: the steps of `synapse-bundle import`."""
    end_when_asked()


@import_group.command("inspect")
def inspect_source() -> None:
    """Print what the source is, as JSON, with the secrets that are carried over."""
    from .inspection import inspect  # noqa: PLC0415

    found = inspect(ImportSettings.from_environ(os.environ))
    click.echo(json.dumps(found.to_json()))


@import_group.command("begin")
def begin_import() -> None:
    """Empty the target, and load or copy the database."""
    from .importation import begin  # noqa: PLC0415

    begin(ImportSettings.from_environ(os.environ), Progress(sys.stderr))


@import_group.command("finish")
def finish_import() -> None:
    """Compare the database, copy the files, and let the server start."""
    from .importation import finish  # noqa: PLC0415

    finish(ImportSettings.from_environ(os.environ), Progress(sys.stderr))

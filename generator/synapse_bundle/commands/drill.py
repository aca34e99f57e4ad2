"""`synapse-bundle drill`: prove that a set is a working server."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import output_option


@click.command()
@click.argument("set_name", metavar="[SET]", required=False)
@output_option
def drill(set_name: str | None, bundle: Path) -> None:
    """Restore the newest set, or SET, beside the running server, and use it.

    It starts in networks without a way out, and is removed at the end.
    """
    from .. import drill_project

    drill_project.drill(bundle, set_name)
    click.echo("The drill is green: the set was restored, started and used. Nothing of it is left.")

"""`synapse-bundle check`: prove a running bundle."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import json_option, output_option


@click.command()
@output_option
@json_option
def check(bundle: Path, *, as_json: bool) -> None:
    """Prove a running bundle hop by hop."""
    from .. import engine

    raise SystemExit(engine.check(bundle, ["--json"] if as_json else []))

"""`synapse-bundle tunnel import`: take over a tunnel that was made by hand."""

from __future__ import annotations

from pathlib import Path

import click

from .. import pipeline, secret_input
from ..credentials import file_names
from ..errors import SettingsError
from ..options import force_option, output_option, settings_option
from ..settings import loading


@click.group()
def tunnel() -> None:
    """Take over a Cloudflare Tunnel that was made by hand."""


@tunnel.command(name="import")
@settings_option
@output_option
@force_option
def import_tunnel(settings_path: Path | None, bundle: Path, *, force: bool) -> None:
    """Read a tunnel token or credentials file, from a hidden prompt or standard input."""
    settings = loading.load(settings_path)
    if not settings.tunnel:
        raise SettingsError("The settings have no tunnel; add the line `tunnel: cloudflare`.")
    given = {file_names.TUNNEL: secret_input.read_secret("Tunnel token")}
    changes = pipeline.write(settings, bundle, settings_path, given, force=force)
    pipeline.show_next(settings, bundle, changes)

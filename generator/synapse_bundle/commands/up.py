"""`synapse-bundle up`: write the bundle, start it, check it."""

from __future__ import annotations

from pathlib import Path

import click

from .. import next_steps, pipeline
from ..errors import SettingsError
from ..options import force_option, output_option, settings_option
from ..settings import loading


@click.command()
@settings_option
@output_option
@force_option
def up(settings_path: Path | None, bundle: Path, *, force: bool) -> None:
    """Write the bundle, start it, wait until it is healthy, check it."""
    from .. import engine

    settings = loading.load(settings_path)
    if settings.kubernetes.database:
        raise SettingsError(
            f"kubernetes.database: {settings.kubernetes.database} runs PostgreSQL in a cluster alone, so this"
            " machine has none to start with; nothing was written. Type: synapse-bundle generate, then"
            " synapse-bundle kubernetes"
        )
    pipeline.write(settings, bundle, settings_path, {}, force=force)
    engine.start(bundle, settings.ports)
    for note in engine.describe_images(bundle):
        click.echo(f"note      {note}")
    code = engine.check(bundle, [])
    sign_in = next_steps.write_sign_in(settings, bundle, Path())
    click.echo(f"\nSign in with any Matrix client:\n{sign_in}")
    raise SystemExit(code)

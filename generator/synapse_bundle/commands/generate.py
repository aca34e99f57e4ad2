"""`synapse-bundle generate`: write the bundle."""

from __future__ import annotations

from pathlib import Path

import click

from .. import pipeline, secret_input
from ..credentials import file_names
from ..errors import SettingsError
from ..options import force_option, output_option, settings_option
from ..settings import loading


@click.command()
@settings_option
@output_option
@force_option
@click.option(
    "--token",
    "ask_token",
    is_flag=True,
    help="Ask for the Cloudflare DNS token: a hidden prompt, or standard input.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--diff", is_flag=True, help="Show the changes (secrets are never shown).")
@click.option("--verbose", is_flag=True, help="Name every file of the images too.")
def generate(
    settings_path: Path | None,
    bundle: Path,
    *,
    ask_token: bool,
    force: bool,
    dry_run: bool,
    diff: bool,
    verbose: bool,
) -> None:
    """Write the bundle; a second run changes nothing."""
    settings = loading.load(settings_path)
    if ask_token and not settings.certificates.acme:
        raise SettingsError(
            f"The issuer {settings.certificates.issuer!r} needs no DNS token;"
            " leave --token out, or choose another issuer with the key `certificates`."
        )
    title = "Cloudflare DNS token"
    given = {file_names.TOKEN: secret_input.read_secret(title)} if ask_token else {}
    changes = pipeline.write(
        settings,
        bundle,
        settings_path,
        given,
        force=force,
        dry_run=dry_run,
        diff=diff,
        verbose=verbose,
    )
    if not dry_run:
        pipeline.show_next(settings, bundle, changes)

"""The options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from .errors import SettingsError

SETTINGS: Final = Path("settings.yaml")
_OTHER_SUFFIX: Final = SETTINGS.with_suffix(".yml")


def _choose_settings(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    # A dangling link, too, is meant as settings.
    if value or os.path.lexists(SETTINGS):
        return value or SETTINGS
    # Without this, the trial would start in place of what was written there.
    if _OTHER_SUFFIX.exists():
        raise SettingsError(
            f"{_OTHER_SUFFIX} is not read; call it {SETTINGS}, or name it: --settings"
            f" {_OTHER_SUFFIX}"
        )
    return None


settings_option = click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path),
    callback=_choose_settings,
    help="Settings file.  [default: settings.yaml; without one, the trial on localhost]",
)
output_option = click.option(
    "--output",
    "bundle",
    type=click.Path(path_type=Path),
    default=Path("bundle"),
    show_default=True,
    help="Directory of the bundle.",
)
force_option = click.option(
    "--force", is_flag=True, help="Overwrite files edited by hand, and a newer bundle."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")

"""Where a bundle may be written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from . import assets, manifest
from .errors import SettingsError
from .locking import LOCK
from .planning import COMPOSE

# The state of `cloudflare apply`, which may exist before the bundle.
CLOUDFLARE: Final = ".cloudflare.json"
# The suffix of a file that is staged beside its target.
STAGED: Final = ".bundle-new"


def check_output(bundle: Path, *, force: bool = False) -> None:
    """Raise SettingsError for a directory that must not be written to.

    With `force` a bundle that has lost its manifest is accepted.
    """
    if bundle.exists() and not bundle.is_dir():
        raise SettingsError(f"{bundle} is a file; choose another --output")
    entries = _list_entries(bundle)
    if manifest.NAME in entries:
        return
    if bundle.is_symlink():
        raise SettingsError(
            f"{bundle} is a link to something that is not a bundle; choose another --output"
        )
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111  # there may be none
    if str(bundle.resolve()) in {"/", home}:
        raise SettingsError(f"{bundle} is not a place for a bundle; choose another --output")
    if entries and not manifest.recover(bundle):
        raise SettingsError(
            f"{bundle} holds other files and is not a bundle; choose another --output"
        )
    if entries and not force:
        raise SettingsError(
            f"{bundle} is a bundle without its hidden file {manifest.NAME}, which a copy by"
            " `cp -r bundle/*` leaves behind.",
            [
                "Copy that file too, or take the folder over: generate with --force.",
                "That keeps secrets/ and every *.override.yaml, and overwrites the rest.",
            ],
        )


def _list_entries(bundle: Path) -> set[str]:
    """Return the names in a directory, without those that may exist before the bundle."""
    try:
        found = [entry.name for entry in bundle.iterdir()]
    except FileNotFoundError:
        return set()
    # So may what a first run had staged when it was killed.
    known = {LOCK, CLOUDFLARE}
    return {name for name in found if name not in known and not name.endswith(STAGED)}


def check_neighbor(bundle: Path, project: str) -> None:
    """Raise SettingsError where the compose.yaml above a bundle would run it as another project.

    Included by a file with another `name:`, the same bundle would start with empty volumes.
    """
    above = bundle.resolve().parent / "compose.yaml"
    text = above.read_text(encoding="utf-8", errors="replace") if above.is_file() else ""
    named = rf"(?m)^name:\s*(['\"]?){re.escape(project)}\1\s*(#.*)?$"
    if f"{bundle.name}/{COMPOSE}" in text and not re.search(named, text):
        raise SettingsError(
            f"project {project!r} is not the name in {above}, which includes this bundle;"
            f" give this one a directory of its own: {assets.spell('generate', '../other/bundle')}"
        )


def check_repository(bundle: Path, repository: str) -> None:
    """Raise SettingsError for backups that are in the bundle, but named by an absolute path.

    They would be part of every set, and the path would not follow the folder to another place.
    """
    if repository.startswith("/") and Path(repository).resolve().is_relative_to(bundle.resolve()):
        raise SettingsError(
            f"backup.repository: {repository} is in the bundle; name it as the bundle sees it, such"
            " as ./backups"
        )

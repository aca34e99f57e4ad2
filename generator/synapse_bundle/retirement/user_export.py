"""What each user has here, as one archive for each: Synapse's own export, and the files they uploaded.

https://element-hq.github.io/synapse/latest/usage/administration/admin_faq.html#how-can-i-export-user-data
Synapse's export lists the files of a user, and does not contain them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from .. import topology, writing
from ..errors import BundleError
from .server_containers import ServerContainers

_CONFIGURATION: Final = " ".join(
    f"-c {path}"
    for path in (
        f"{topology.SYNAPSE.configuration}/homeserver.yaml",
        f"{topology.SYNAPSE.configuration}/homeserver.override.yaml",
        f"{topology.SECRETS}/synapse.yaml",
    )
)
# Of a file `abcdef…` Synapse keeps the content as ab/cd/ef….
_SCRIPT: Final = f"""\
set -eu
place=$(mktemp -d {topology.SYNAPSE.uploads}/export.XXXXXX)
trap 'rm -rf "$place"' EXIT
python3 -m synapse.app.admin_cmd {_CONFIGURATION} export-data "$1" --output-directory "$place/data" \\
  >"$place/log" 2>&1 || {{ tail -n 20 "$place/log" >&2; exit 1; }}
cd "$place/data"
for file in media_ids/*; do
  [ -e "$file" ] || continue
  id=${{file#media_ids/}} && rest=${{id#??}} && last=${{rest#??}}
  content={topology.SYNAPSE.data}/media_store/local_content/${{id%"$rest"}}/${{rest%"$last"}}/$last
  [ ! -e "$content" ] || {{ mkdir -p media; ln -s "$content" "media/$id"; }}
done
tar --create --dereference --file=- *
"""
_OWNER_ONLY: Final = 0o600


def prepare_directory(directory: Path, server_name: str) -> Path:
    """Return the directory for a server's exports, made if missing; BundleError if it cannot be."""
    place = directory / server_name.replace(":", "-")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleError(
            f"{place} cannot be made: {error.strerror}; nothing was changed"
        ) from error
    return place


def export_users(
    containers: ServerContainers, users: list[str], place: Path, report: Callable[[str], None]
) -> None:
    """Write one archive for each user into `place`, for the operator alone to read.

    Synapse must be stopped: a second one beside it could be too much for the memory of its container.
    BundleError if one fails; those that are there are whole.
    """
    for number, user in enumerate(users, 1):
        path = place / f"{quote(user[1:].partition(':')[0], safe='')}.tar"
        report(f"  {number} of {len(users)}: {path}")
        _export(containers, user, path)


def _export(containers: ServerContainers, user: str, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        # Not of an earlier run, whose mode or link it would have.
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(handle, "wb") as file:
            containers.run_synapse(_SCRIPT, user, output=file)
            os.fsync(file.fileno())
        part.replace(path)
        writing.synchronize(path.parent)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error

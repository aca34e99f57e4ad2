"""The programs of the service `backup`, out of its distribution, made to run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.engine import docker

_IMAGE: Final = Path(__file__).parent / "image"
TAG: Final = "synapse-bundle-test/backup-programs"


def build_image() -> None:
    """Build the image that the programs come from."""
    docker("build", "--quiet", "--tag", TAG, str(_IMAGE))


def unpack(directory: Path) -> None:
    """Write restic, ssh and PostgreSQL's programs into a directory, with their libraries."""
    build_image()
    docker(
        *("run", "--rm", "--volume", f"{directory}:/out", "--volume", f"{_IMAGE}:/unpack:ro"),
        *("--entrypoint", "sh", TAG, "/unpack/unpack.sh", str(directory)),
    )

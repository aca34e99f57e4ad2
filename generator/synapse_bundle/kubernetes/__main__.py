"""The door of `docker compose bridge convert`: the model in /in, the bundle in /templates, manifests to /out.

See https://docs.docker.com/compose/bridge/customize/ for the contract; the bundle comes by `--templates .`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import yaml

from . import manifest_folder
from .bundle_files import read_files
from .compose_model import ConversionError, read_model
from .conversion import convert

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def main(model: Path, bundle: Path, folder: Path) -> int:
    """Convert, and return the exit code."""
    try:
        document = yaml.load(model.read_bytes(), Loader=_LOADER)  # noqa: S506
        manifest_folder.fill(folder, convert(document, read_files(bundle, read_model(document))))
    except (ConversionError, OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path("/in/compose.yaml"), Path("/templates"), Path("/out")))

"""What a rotation is about to do, on disk before it does anything: so that another run can finish it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from .. import writing
from ..credentials.file_names import DIRECTORY
from ..errors import BundleError

# Hidden, so that it is neither a secret of the bundle nor a file of the manifest.
_NAME: Final = ".rotation.json"
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, kw_only=True)
class Journal:
    """A rotation that has begun: the names that were asked for, and old and new values by file."""

    names: tuple[str, ...]
    old: Mapping[str, str] = field(repr=False)
    new: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> str:
        """What to type to go on with it."""
        return f"synapse-bundle rotate {' '.join(self.names)}"


def read(bundle: Path) -> Journal | None:
    """Return the rotation that was cut off, if there is one; BundleError if it is damaged."""
    path = _place(bundle)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Journal(
            names=tuple(document["names"]), old=dict(document["old"]), new=dict(document["new"])
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        # It is renamed when whole, so this is the disk, or an edit by hand.
        raise BundleError(
            f"{path} is damaged; delete it and rotate the same secrets again"
        ) from error


def write(bundle: Path, journal: Journal) -> None:
    """Put a rotation on disk."""
    path = _place(bundle)
    content = json.dumps(asdict(journal)).encode()
    writing.stage(path, content, _OWNER_ONLY).replace(path)
    writing.synchronize(path.parent)


def delete(bundle: Path) -> None:
    """Forget a rotation that has ended."""
    _place(bundle).unlink(missing_ok=True)
    writing.synchronize(_place(bundle).parent)


def _place(bundle: Path) -> Path:
    return bundle / DIRECTORY / _NAME

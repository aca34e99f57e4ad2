"""What a bundle remembers of its own end: the day that was announced, and how far a retirement came."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from . import writing
from .credentials.file_names import DIRECTORY, INSTANCE
from .errors import BundleError

NAME: Final = ".retirement.json"
_MODE: Final = 0o644


class RetirementStage(IntEnum):
    """How far it came: from CLOSING on there are accounts that no longer exist."""

    ANNOUNCED = 1
    CLOSING = 2
    TOLD = 3
    DONE = 4


@dataclass(frozen=True, kw_only=True)
class RetirementRecord:
    """A retirement of the data whose id has the hash `instance`.

    `day` is the announced one (ISO 8601), "" if nobody was told; `set` the last set, "" if there is none.
    """

    instance: str
    stage: RetirementStage
    day: str = ""
    set: str = ""

    @property
    def begun(self) -> bool:
        """Whether it cannot be called off any more."""
        return self.stage >= RetirementStage.CLOSING


def read(bundle: Path) -> RetirementRecord | None:
    """Return what is known, or None: also if the folder has other data since, as after a restore.

    BundleError if the file is damaged; OSError passes through.
    """
    path = bundle / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        stage = RetirementStage[document.pop("stage")]
        record = RetirementRecord(stage=stage, **document)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{path} cannot be read. It records that this server is being retired; delete it only if"
            " that is not so"
        ) from error
    return record if record.instance == read_instance(bundle) else None


def read_instance(bundle: Path) -> str:
    """Return a SHA-256 of the id of the data that a folder belongs to, "" before its first start."""
    path = bundle / DIRECTORY / INSTANCE
    try:
        identity = path.read_bytes().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    return hashlib.sha256(identity).hexdigest() if identity else ""


def write(bundle: Path, record: RetirementRecord) -> None:
    """Put it on disk, whole or not at all; BundleError if the disk refuses."""
    path = bundle / NAME
    try:
        document = {**asdict(record), "stage": record.stage.name}
        writing.stage(path, f"{json.dumps(document)}\n".encode(), _MODE).replace(path)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error


def delete(bundle: Path) -> None:
    """Forget it; BundleError if the disk refuses."""
    try:
        (bundle / NAME).unlink(missing_ok=True)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{bundle / NAME}: {error.strerror}") from error


def refuse_retired(bundle: Path) -> None:
    """Raise BundleError for a bundle whose server was retired, with the way back."""
    record = read(bundle)
    if record is None or not record.begun:
        return
    if record.stage < RetirementStage.DONE:
        raise BundleError(
            f"{bundle}: this server is being retired, and nothing was written. Finish that:"
            " synapse-bundle retire finish"
        )
    raise BundleError(
        f"{bundle}: this server was retired, and nothing was written. {_explain_way_back(record)}"
    )


def _explain_way_back(record: RetirementRecord) -> str:
    if not record.set:
        return "There is no last set of it; its volumes hold what is left: docs/retiring.md"
    return (
        f"To bring it back as it was in its last set, {record.set}, type in the bundle:"
        f" docker compose down --volumes && docker compose run --rm restore {record.set}\n"
        "Then `synapse-bundle cloudflare apply`, if it was at Cloudflare, and this command again."
    )

"""What a set says of itself: `manifest.json`, the last thing that is written into a set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..errors import HelperError
from .table_hashes import TableHash

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 2
# In this format the hash of a row was that of its text.
_FORMAT_OF_TEXT: Final = 1
MANIFEST_FILE: Final = "manifest.json"
Kind = Literal["scheduled", "manual", "final", "before-update"]
# Made to be the newest state there is: of these nothing may be left out.
COMPLETE_KINDS: Final[frozenset[str]] = frozenset({"final", "before-update"})
# A one-time key is given out once. A set is older than the server when it is restored, so it leaves
# them out, unless it is made to be the newest state there is.
ONE_TIME_KEYS: Final = "e2e_one_time_keys_json"


class ManifestError(HelperError):
    """The manifest of a set cannot be used."""


@dataclass(frozen=True, kw_only=True)
class SetManifest:
    """One set. `set` is its name, `product` the version that made it, `images` each one's reference.

    `instance` and `epoch` say whose data it is, and how often it was taken over before.
    `dump_snapshot` is restic's id of the dump, `dump_bytes` its size; `tables` and `sequences` are
    what the database held in the very snapshot that was dumped.
    """

    format: int
    product: str
    set: str
    kind: Kind
    time: datetime
    server_name: str
    verify_key: str
    instance: str
    epoch: int
    images: Mapping[str, str]
    postgres_version: str
    schema_version: int
    compat_version: int
    dump_snapshot: str
    dump_bytes: int
    one_time_keys: bool
    tables: Mapping[str, TableHash]
    sequences: Mapping[str, int]
    remote_media: bool

    @property
    def hashes_text(self) -> bool:
        """Whether the hashes of its tables are those of the first format."""
        return self.format == _FORMAT_OF_TEXT

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        content = asdict(self) | {"time": self.time.isoformat()}
        return json.dumps(content, indent=2, sort_keys=True) + "\n"


def parse_manifest(text: str) -> SetManifest:
    """Return the manifest in `text`; ManifestError if it is damaged or from a newer version."""
    try:
        content = json.loads(text)
        _require_known_format(content["format"])
        return _build(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"the manifest of this set is damaged ({error}): choose another set, which"
            " `docker compose run --rm backup list` shows"
        ) from error


def _require_known_format(found: int) -> None:
    if found > FORMAT:
        raise ManifestError(
            f"this set was made by a newer synapse-bundle: its format is {found}, and this version"
            f" reads up to {FORMAT}. Install the version that made it, `make generate`, and repeat."
        )


def _build(content: dict[str, Any]) -> SetManifest:
    values = {field.name: content[field.name] for field in fields(SetManifest)}
    if values["kind"] not in get_args(Kind):
        raise ValueError(f"{values['kind']!r} is not a kind of set")
    time = datetime.fromisoformat(values["time"])
    if time.tzinfo is None:
        raise ValueError("its time has no zone")
    tables = {name: TableHash(**table) for name, table in values["tables"].items()}
    return SetManifest(**values | {"time": time, "tables": tables})

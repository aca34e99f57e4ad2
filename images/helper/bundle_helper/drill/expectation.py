"""What a restored server must hold: written by the restore of a full drill, read by its proof."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from .. import storage
from ..errors import HelperError
from .media_sample import Media

if TYPE_CHECKING:
    from pathlib import Path

# Bytes of a file: each is held in memory while it is compared.
LARGEST: Final = 16_000_000


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The set that was restored, and files that its database names."""

    set: str
    media: tuple[Media, ...]

    def write(self, file: Path) -> None:
        """Leave it in `file`; HelperError if that cannot be written."""
        storage.write_json(file, asdict(self) | {"media": [one._asdict() for one in self.media]})


def read_expectation(file: Path) -> Expectation:
    """Return what the restore has left in `file`; HelperError if it left nothing."""
    try:
        content = storage.read_json(file)
        media = tuple(Media(**one) for one in content["media"])
        return Expectation(set=content["set"], media=media)
    except (HelperError, KeyError, TypeError) as error:
        raise HelperError(
            "nothing was restored for this drill; restore a set first, as the section on drills in the"
            " README.md of this folder says"
        ) from error

"""The claim record: a TXT record in DNS that says which copy of a server holds the server's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL: Final = "_synapse-bundle"
_OURS: Final = re.compile(r"v=(\S+) epoch=")
_FORM: Final = re.compile(
    r"v=1 epoch=([1-9][0-9]{0,17}) holder=([0-9a-f]{64}) session=([0-9a-f]{32})"
)


class UnreadableError(HelperError):
    """The record could be neither read nor written; the message says why."""


class ClaimRecord(NamedTuple):
    """Who holds a name: `epoch` counts takeovers, `holder` is a hash of the data's id.

    `session` is random for each start of a helper. Of several records the greatest counts, so that
    every copy that reads them names the same holder.
    """

    epoch: int
    session: str
    holder: str

    def __str__(self) -> str:
        """Return the text of the TXT record."""
        return f"v=1 epoch={self.epoch} holder={self.holder} session={self.session}"


def name_record(homeserver: str) -> str:
    """Return the name of the record."""
    return f"{_LABEL}.{homeserver}"


def parse_records(texts: Iterable[str]) -> tuple[ClaimRecord, ...]:
    """Return the claims among the texts of TXT records, which a wildcard may have put there.

    UnreadableError for a claim of a later version, which must not be overwritten.
    """
    found = []
    for text in texts:
        match = _FORM.fullmatch(text)
        if match:
            found.append(ClaimRecord(int(match[1]), match[3], match[2]))
        elif _OURS.match(text):
            raise UnreadableError(
                "the claim record in DNS is not one that this version understands: a newer"
                " synapse-bundle wrote it, or it was edited by hand"
            )
    return tuple(found)

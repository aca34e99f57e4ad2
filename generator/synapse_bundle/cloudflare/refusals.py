"""What Cloudflare's API refuses: status, error codes and words of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from ..errors import BundleError

FORBIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# "Authentication error", "Unauthorized to access requested resource", "Invalid request headers".
_DENIALS: Final = frozenset({10000, 9109, 6003})
_UNKNOWN_ZONE: Final = 7003  # "Could not route to /zones/…"


class CloudflareError(BundleError):
    """Cloudflare refused a request: its HTTP status, error codes and words."""

    def __init__(self, message: str, *, status: int = 0, codes: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = frozenset(codes)

    def extend(self, advice: str) -> CloudflareError:
        """Return the same error with what to do about it."""
        return CloudflareError(f"{self.message}. {advice}", status=self.status, codes=self.codes)

    @property
    def refused_location(self) -> bool:
        """Whether the token is valid from other IP addresses only; its code is that of a denial."""
        return "from location" in self.message

    @property
    def denied(self) -> bool:
        """Whether the token lacks the permission; other refusals say what they are."""
        return bool(self.codes & _DENIALS) and not self.refused_location

    @property
    def refused(self) -> bool:
        """Whether Cloudflare itself refused: it was reached, and nothing was done."""
        return bool(self.codes)

    @property
    def missing(self) -> bool:
        """Whether what was asked for, or the zone it was in, does not exist."""
        return self.status == HTTPStatus.NOT_FOUND or _UNKNOWN_ZONE in self.codes


class UncertainError(CloudflareError):
    """The answer to a request was lost: the request may or may not have taken effect."""

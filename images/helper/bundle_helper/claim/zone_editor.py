"""The claim record through Cloudflare's API, with the token that certbot has for its challenges.

Source: API reference of zones/dns_records. A record is never changed in place but created and deleted:
then two copies that write at once leave both records, and each sees the other's.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..settings.environment import read_secret
from .claim_record import ClaimRecord, UnreadableError, name_record, parse_records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Cloudflare's shortest for a record that is not proxied, on every plan.
_TTL_SECONDS: Final = 60
_TIMEOUT_SECONDS: Final = 8.0
# Cloudflare's library would take an account's email and key before the token.
_UNWANTED: Final = ("CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN")
_REFUSED: Final = frozenset({400, 401, 403})
_MISSING: Final = 404


class RefusedError(UnreadableError):
    """Cloudflare does not accept the DNS token for this zone."""


class ZoneEditor:
    """The records of one name. Every method raises UnreadableError if the API does not do its part."""

    def __init__(self, homeserver: str, token_file: Path) -> None:
        self._homeserver = homeserver
        self._token_file = token_file
        self._opened: tuple[Any, str] | None = None

    def read(self) -> dict[str, ClaimRecord]:
        """Return the claims on the name by the ids of their records."""
        client, zone = self._open()
        name = {"exact": name_record(self._homeserver)}
        records = _call(
            lambda: list(client.dns.records.list(zone_id=zone, type="TXT", name=name, per_page=100))
        )
        texts = {str(record.id): str(record.content).strip('"') for record in records}
        return {
            identity: parsed for identity, text in texts.items() for parsed in parse_records([text])
        }

    def create(self, record: ClaimRecord) -> None:
        """Create a record; if the answer is lost, it may exist all the same."""
        client, zone = self._open()
        fields = {"type": "TXT", "name": name_record(self._homeserver), "content": f'"{record}"'}
        _call(lambda: client.dns.records.create(zone_id=zone, ttl=_TTL_SECONDS, **fields))

    def delete(self, identities: Iterable[str]) -> None:
        """Delete records; one that no longer exists need not be deleted."""
        for identity in identities:
            client, zone = self._open()
            try:
                _call(partial(client.dns.records.delete, identity, zone_id=zone))
            except UnreadableError as error:
                if getattr(error.__cause__, "status_code", None) != _MISSING:
                    raise

    def _open(self) -> tuple[Any, str]:
        """Return the client and the id of the zone."""
        if self._opened is None:
            client = _make_client(self._token_file)
            self._opened = client, self._find_zone(client)
        return self._opened

    def _find_zone(self, client: Any) -> str:
        labels = self._homeserver.split(".")
        for start in range(len(labels) - 1):
            name = ".".join(labels[start:])
            zone = next(iter(_call(partial(client.zones.list, name=name))), None)
            if zone is not None:
                return str(zone.id)
        raise RefusedError(f"the DNS token is not good for a zone with {self._homeserver}")


def _make_client(token_file: Path) -> Any:
    # Imported here: it takes a second and 90 MB, and most rounds read DNS alone.
    from cloudflare import Cloudflare  # noqa: PLC0415

    try:
        token = read_secret(token_file)
    except ValueError as error:
        raise RefusedError(f"the DNS token cannot be read: {error}") from error
    for name in _UNWANTED:
        os.environ.pop(name, None)
    # No repetition: a creation whose answer was lost must not happen twice.
    return Cloudflare(api_token=token.reveal(), max_retries=0, timeout=_TIMEOUT_SECONDS)


def _call(send: Any) -> Any:
    """Return what one call gives; UnreadableError with a reason that holds no secret."""
    from cloudflare import APIStatusError, CloudflareError  # noqa: PLC0415

    try:
        return send()
    except APIStatusError as error:
        if error.status_code in _REFUSED:
            raise RefusedError(
                f"Cloudflare refuses the DNS token ({error.status_code}{_read_code(error)})"
            ) from error
        raise UnreadableError(f"Cloudflare's API answers with {error.status_code}") from error
    except CloudflareError as error:
        raise UnreadableError("Cloudflare's API is not reached") from error
    except Exception as error:  # an answer in no form that its library knows
        raise UnreadableError(
            f"Cloudflare's API gives an unexpected answer ({type(error).__name__})"
        ) from error


def _read_code(error: Any) -> str:
    try:
        return f", code {int(error.response.json()['errors'][0]['code'])}"
    except (ValueError, LookupError, TypeError):
        return ""

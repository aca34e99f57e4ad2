"""certbot's Cloudflare authenticator, with a watched record instead of one blind sleep.

certbot finds it by the entry point in pyproject.toml.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.resolver
from certbot import errors
from certbot.display import util as display
from certbot_dns_cloudflare._internal import dns_cloudflare

from ..settings.environment import read_secret
from . import propagation
from .certbot import PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable


class Authenticator(dns_cloudflare.Authenticator):
    """Cloudflare by an API token in a file of its own, never an account's email and key."""

    description = "DNS-01 through Cloudflare, watched on the zone's own name servers."

    @classmethod
    def add_parser_arguments(
        cls, add: Callable[..., None], default_propagation_seconds: int = 10
    ) -> None:
        """Declare --dns-bundle-token-file."""
        super().add_parser_arguments(add, default_propagation_seconds)
        add("token-file", help="File with the Cloudflare API token alone.")

    def perform(self, achalls: list[Any]) -> list[Any]:
        """Write every challenge's TXT record, and wait until the zone's servers have them."""
        self._attempt_cleanup = True
        records: dict[str, str] = {}
        for achall in achalls:
            domain = achall.identifier.value
            record, value = (
                achall.validation_domain_name(domain),
                achall.validation(achall.account_key),
            )
            self._perform(domain, record, value)
            records[record] = value
        self._wait(records)
        return [achall.response(achall.account_key) for achall in achalls]

    def auth_hint(self, failed_achalls: list[Any]) -> str:
        """Return what certbot adds to a failed validation."""
        names = ", ".join(sorted({achall.identifier.value for achall in failed_achalls}))
        return f"The authority did not find the TXT record of {names}, although DNS had it."

    def _wait(self, records: dict[str, str]) -> None:
        clock = propagation.Clock(monotonic=time.monotonic, sleep=time.sleep)
        try:
            propagation.wait_for_records(
                records,
                dns.resolver.Resolver(),
                propagation.Patience(),
                clock,
                lambda sentence: display.notify(PROGRESS + sentence),
            )
        except propagation.PropagationError as error:
            raise errors.PluginError(f"DNS does not propagate: {error}") from error

    def _setup_credentials(self) -> None:
        """Leave the token where it is: it is read when it is used."""

    def _get_cloudflare_client(self) -> Any:
        try:
            token = read_secret(Path(self.conf("token-file")))
        except ValueError as error:
            raise errors.PluginError(f"the DNS token cannot be read: {error}") from error
        return dns_cloudflare._CloudflareClient(api_token=token.reveal())  # noqa: SLF001

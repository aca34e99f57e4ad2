"""What an API token gives access to: whose it is, and the zones of both names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import SettingsError
from .desired import Desired
from .permissions import ZONE
from .refusals import CloudflareError
from .session import Session
from .zone import Zone, find_zone

USER: Final = "/user"
USER_DASHBOARD: Final = "https://dash.cloudflare.com/profile/api-tokens"
ACCOUNT_DASHBOARD: Final = "https://dash.cloudflare.com/?to=/:account/api-tokens"


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a token gives access to.

    `owner` is the path of its owner in the API: `/user` or `/accounts/ID`. `home` is the zone of
    the homeserver's name; `apex` that of the server name, None if that is the same name or the
    token does not see its zone.
    """

    owner: str
    home: Zone
    apex: Zone | None

    @property
    def zones(self) -> list[Zone]:
        """Both zones, or the one that they are."""
        return list({zone.id: zone for zone in (self.home, self.apex) if zone}.values())


def require_access(session: Session, desired: Desired) -> Access:
    """Return what the session's token gives access to; raises SettingsError if it is not enough."""
    readable = True
    try:
        home = find_zone(session, desired.homeserver)
    except CloudflareError as error:
        if not error.codes:
            raise
        home, readable = None, False
    owner = _find_owner(session, home.account if home else "")
    if not owner and not (readable and not home):
        raise SettingsError(
            "Cloudflare does not accept this token: it is expired, revoked or incomplete.",
            [f"Copy it again, or create another: {USER_DASHBOARD}"],
        )
    if not home:
        raise SettingsError(
            f"The token shows no zone for {desired.homeserver}; nothing was changed.",
            [
                f"It needs {ZONE}, and Zone Resources that include the domain: {USER_DASHBOARD}",
                "If the domain is not at Cloudflare yet: https://dash.cloudflare.com → Add a domain",
            ],
        )
    apex = find_zone(session, desired.server_name) if desired.delegates else None
    return Access(owner=owner, home=home, apex=apex)


def _find_owner(session: Session, account: str) -> str:
    """Return the path of the token's owner, or "" if Cloudflare refuses the token.

    `account` is the one to ask if the token is not a user's.
    """
    for owner in [USER, f"/accounts/{account}"] if account else [USER]:
        try:
            if session.get(f"{owner}/tokens/verify")["status"] == "active":
                return owner
        except CloudflareError as error:
            if error.refused_location:
                raise SettingsError(
                    f"{error.message}. The token's Client IP Address Filtering does not include"
                    " this machine's address"
                ) from error
            if not error.refused:
                raise
    return ""

"""What certbot, an authority or Cloudflare report, as what happened, why, and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_LONGEST_QUOTE: Final = 400
_RETRY_AFTER: Final = re.compile(
    r"retry(?:ing)? after:? (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(?: ?UTC|Z)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One failure for a person; `not_before` is the earliest time at which another attempt can help."""

    happened: str
    why: str
    todo: str
    not_before: datetime | None = None

    def __str__(self) -> str:
        """Show as three short sentences."""
        return f"{self.happened}: {self.why}. {self.todo}"


@dataclass(frozen=True, kw_only=True)
class _Case:
    sign: str
    happened: str
    why: str
    todo: str


_PERMIT: Final = (
    "Make an API token with the permission Zone, DNS, Edit for this zone, then"
    " `synapse-bundle generate --token` and `docker compose up -d`."
)
_WAIT: Final = "Nothing to do: the next attempt follows by itself, and the old certificate stays."
# The first that matches counts: from what is certain to what is general.
_CASES: Final = (
    _Case(sign=r"Another instance of Certbot is already running", happened="certbot did not start",
          why="another one is running", todo=_WAIT),
    _Case(sign=r"determining zone_id: (6003|6111|9103|9109)|Invalid access token"
               r"|Authentication error|Error code: 40[13]\b|\b10000\b",
          happened="Cloudflare refused the DNS token",
          why="it is wrong, expired, revoked, or may not edit this zone", todo=_PERMIT),
    _Case(sign=r"Cloudflare.{0,400}Error code: 429|Error code: 429|\b971\b",
          happened="Cloudflare refused to answer", why="too many requests with this token (429)",
          todo=_WAIT),
    _Case(sign=r"Network error .{0,40}Cloudflare API|Cloudflare API.{0,200}Error code: 5\d\d"
               r"|error from Cloudflare was: .{0,20}Error code: 5\d\d",
          happened="Cloudflare's API did not answer",
          why="this machine cannot reach it, or Cloudflare has an outage"
              " (https://www.cloudflarestatus.com)", todo=_WAIT),
    _Case(sign=r"Unable to determine zone_id", happened="the DNS token does not cover the zone",
          why="it is for another zone or account, or the domain is not at Cloudflare",
          todo=_PERMIT),
    _Case(sign=r"Error communicating with the Cloudflare API.*(1009|Zone:DNS:Edit)",
          happened="Cloudflare refused to write the record",
          why="the token may read the zone, but not edit its DNS", todo=_PERMIT),
    _Case(sign=r"DNS does not propagate", happened="the challenge did not appear in DNS",
          why="the zone's name servers do not show the record that Cloudflare accepted",
          todo="Compare the domain's name servers with the ones that Cloudflare's dashboard shows."),
    _Case(sign=r"rateLimited|too many (certificates|failed authorizations|new orders|registrations)"
               r"|Service busy; retry later",
          happened="the authority refused the order", why="a rate limit of the authority is reached",
          todo=_WAIT),
    _Case(sign=r"acme:error:caa|CAA record", happened="the authority refused the order",
          why="a CAA record of the domain does not permit it",
          todo="Add `0 issue` for the authority in Cloudflare's dashboard (DNS, Records)."),
    _Case(sign=r"(?i)invalid ?profile|profile.{0,60}(not|un)(recognized|known| ?supported| offered)"
               r"|not support.{0,40}profile",
          happened="the authority refused the order", why="it does not offer the wanted profile",
          todo="Change certificates.profile, or leave it out, then `make generate`."),
    _Case(sign=r"invalidContact|invalidEmail|unsupportedContact|contact email",
          happened="the authority refused the account", why="it does not accept the email address",
          todo="Change `email` in settings.yaml, then `make generate && docker compose up -d`."),
    _Case(sign=r"certificate is not yet valid|certificate has expired",
          happened="the authority's own certificate was refused",
          why="the clock of this machine is probably wrong",
          todo="Compare `date -u` with a clock you trust and set it."),
    _Case(sign=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
          happened="the authority's own certificate was refused",
          why="no known root signed it",
          todo="Name the authority's root in certificates.root, then `make generate`."),
    _Case(sign=r"Incorrect TXT record|No TXT record found|DNS problem|acme:error:dns"
               r"|error:unauthorized|failed to authenticate some domains|Challenge failed",
          happened="the authority did not accept the challenge",
          why="it did not find the TXT record that is in the zone",
          todo="Check for a DNSSEC error or a second set of name servers: https://dnsviz.net."),
    _Case(sign=r"serverInternal|error creating new order|Error code: 5\d\d|\b50[0-9]\b"
               r"|service is down|maintenance",
          happened="the authority answered with an error of its own",
          why="it has an outage (https://letsencrypt.status.io)", todo=_WAIT),
    _Case(sign=r"(?i)Name or service not known|name resolution|Failed to resolve|NewConnectionError"
               r"|Connection refused|No route to host|Max retries|timed out|unreachable|ConnectionError",
          happened="the authority was not reached", why="the connection from this machine failed",
          todo=_WAIT),
    _Case(sign=r"No space left on device|Read-only file system|Permission denied",
          happened="certbot could not write", why="the volume letsencrypt is full or belongs to another user",
          todo="Check `df -h`, then `docker compose up -d`."),
)  # fmt: skip


def diagnose(output: str) -> Diagnosis:
    """Return what certbot's output means; what is not known is quoted."""
    for case in _CASES:
        if re.search(case.sign, output, re.DOTALL):
            until = _read_retry_after(output)
            why = f"{case.why}, which ends at {until:%Y-%m-%d %H:%M} UTC" if until else case.why
            return Diagnosis(happened=case.happened, why=why, todo=case.todo, not_before=until)
    return Diagnosis(
        happened="certbot failed",
        why=_quote(output) or "it printed nothing",
        todo="See /etc/letsencrypt/logs of the helper.",
    )


def _read_retry_after(output: str) -> datetime | None:
    """Return the moment that a rate limit names, or None."""
    found = _RETRY_AFTER.search(output)
    if not found:
        return None
    return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)


def _quote(output: str) -> str:
    """Return the sentences of certbot's output that carry information, on one line."""
    dull = re.compile(r"Saving debug log|Ask for help|See the logfile|^\s*$|^- - -|^progress: ")
    lines = [line.strip() for line in output.splitlines() if not dull.search(line)]
    text = " ".join(lines)
    return text if len(text) <= _LONGEST_QUOTE else f"…{text[-_LONGEST_QUOTE:]}"

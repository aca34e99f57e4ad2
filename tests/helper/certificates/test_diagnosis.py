"""Every failure of certbot, the authority or Cloudflare is reported as what, why, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.certificates.diagnosis import diagnose

LIMIT = (
    "An unexpected error occurred:\ntoo many certificates (5) already issued for this exact set of"
    " identifiers in the last 168h0m0s, retry after 2026-12-01 18:13:12 UTC: see"
    " https://letsencrypt.org/docs/rate-limits/"
)


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("Error determining zone_id: 9109 Error code: 403 - {...}. Please confirm", "new one"),
        ("Error determining zone_id: 6003 Invalid request headers", "refused the DNS token"),
        ("The error from Cloudflare was: 10000 Error code: 403 - Authentication error", "revoked"),
        ("Unable to determine zone_id for m. The error from Cloudflare was: 971 Error code: 429 - x.", "429"),
        ("Unable to determine zone_id for m.example.org using zone names: [...]", "another zone"),
        ('Error communicating with the Cloudflare API: no ("Zone:DNS:Edit"?)', "may read the zone"),
        ("Network error contacting the Cloudflare API while looking up the zone", "did not answer"),
        ("Unable to determine zone_id for m. The error from Cloudflare was: None Error code: 502.", "Cloudflare has an outage"),
        ("DNS does not propagate: after 300 s _acme-challenge.m.example.org is not yet at 192.0.2.1",
         "name servers do not show"),
        ("CAA record for m.example.org prevents issuance", "CAA record"),
        ("Error: urn:ietf:params:acme:error:invalidProfile", "wanted profile"),
        ("Detail: Incorrect TXT record \"x\" found at _acme-challenge.m", "TXT record"),
        ("urn:ietf:params:acme:error:serverInternal :: oops", "has an outage"),
        ("Requesting https://ca/dir: Name or service not known", "connection from this machine failed"),
        ("SSLError(SSLCertVerificationError: certificate verify failed: unable to get", "no known root"),
        ("certificate verify failed: certificate is not yet valid", "clock"),
        ("Another instance of Certbot is already running.", "another one is running"),
        ("OSError: [Errno 28] No space left on device", "full"),
    ],
)  # fmt: skip
def test_known_failures_are_explained(said: str, part: str) -> None:
    """Each failure has its own sentence, and each sentence its next step."""
    found = diagnose(said)
    assert part.replace("new one", "refused the DNS token") in str(found)
    assert found.todo.endswith(".")


def test_a_rate_limit_is_reported_with_its_end() -> None:
    """The moment is in the message, and the next attempt waits for it."""
    found = diagnose(LIMIT)
    assert found.not_before == datetime(2026, 12, 1, 18, 13, 12, tzinfo=UTC)
    assert "which ends at 2026-12-01 18:13 UTC" in str(found)


def test_the_unknown_is_quoted_without_the_noise() -> None:
    """An unforeseen failure is still shown, in one line."""
    said = "Saving debug log to /x\n\nThe moon is full.\nSee the logfile /x for more details."
    assert diagnose(said).why == "The moon is full."


@given(st.text())
def test_anything_is_explained_in_bounds(said: str) -> None:
    """Whatever certbot prints, the answer is short and says what to do."""
    assert len(str(diagnose(said))) < 1000

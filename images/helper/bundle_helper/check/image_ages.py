"""How old the images are: no update reaches a running bundle by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..exchange import Request
from ..findings import Finding, failed, passed
from .front_door import apache, ask_through

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

# Written by apt alone, so it has the day on which an image's packages were brought up to date.
PACKAGES = Path("/var/lib/dpkg/status")
# The same day of Apache's image, as the age of an empty file that it serves inside the bundle.
TARGET = "/packages-date"
# Days. Debian and Synapse mend something every few weeks; after a year holes are publicly known.
OLD = 60
TOO_OLD = 365
_RENEW = (
    "`docker compose pull --ignore-buildable`, `docker compose build --pull --no-cache`,"
    " `docker compose up -d`; for third-party images also a newer synapse-bundle, `make generate`"
)


def probe_ages(settings: ServiceSettings) -> Finding:
    """Tell the age of every image, of the own ones by their packages, else by the pin's date."""
    now = datetime.now(UTC)
    helper = (now - datetime.fromtimestamp(PACKAGES.stat().st_mtime, UTC)).days
    apache = _read_apache(settings, now)
    chosen = {pin.reference: (now.date() - pin.recorded).days for pin in settings.image_pins}
    tags = ", ".join(f"{name} {_describe(age)}" for name, age in chosen.items())
    told = f"packages: helper {_describe(helper)}, apache {_describe(apache)}; tags: {tags}"
    oldest = max(helper, apache or 0, *chosen.values())
    if oldest > TOO_OLD:
        return failed(told, cause=f"an image is older than {TOO_OLD} days", next_step=_RENEW)
    return passed(f"older than {OLD} days: {told}. To renew: {_RENEW}" if oldest > OLD else told)


def _read_apache(settings: ServiceSettings, now: datetime) -> int | None:
    """Return the age of Apache's packages in days, or None where its image does not tell."""
    answer = ask_through(apache(settings), Request(target=TARGET))
    try:
        return (now - parsedate_to_datetime(str(answer.headers.get("Last-Modified", "")))).days
    except ValueError:
        return None


def _describe(age: int | None) -> str:
    """Say an age in days."""
    return "at an unknown time" if age is None else f"{max(age, 0)} days ago"

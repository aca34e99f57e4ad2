"""How old the images are: no update reaches a running bundle by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..exchange import Request
from ..findings import Finding, failed, passed
from .front_door import apache, ask_through

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

# Written by apt alone, so it has the day on which an image's packages were brought up to date.
PACKAGES: Final = Path("/var/lib/dpkg/status")
# The same day of Apache's image, as the age of an empty file that it serves inside the bundle.
_TARGET: Final = "/packages-date"
# Days. Debian and Synapse fix something every few weeks; after a year holes are publicly known.
_OLD: Final = 60
_TOO_OLD: Final = 365
_UPDATE: Final = (
    # Without the profile the image of a backup by hand stays as it is.
    "`docker compose pull --ignore-buildable`, `docker compose --profile tools build --pull"
    " --no-cache`, `docker compose up -d`; for third-party images also a newer synapse-bundle,"
    " `make generate`"
)


def probe_ages(settings: ServiceSettings) -> Finding:
    """Report the age of every image: of the own ones by their packages, else by the pin's date."""
    now = datetime.now(UTC)
    helper = (now - read_helper()).days
    read = read_apache(settings)
    apache = (now - read).days if read else None
    chosen = {pin.reference: (now.date() - pin.recorded).days for pin in settings.image_pins}
    tags = ", ".join(f"{name} {_format_age(age)}" for name, age in chosen.items())
    detail = f"packages: helper {_format_age(helper)}, apache {_format_age(apache)}; tags: {tags}"
    oldest = max(helper, apache or 0, *chosen.values())
    if oldest > _TOO_OLD:
        return failed(detail, cause=f"an image is older than {_TOO_OLD} days", next_step=_UPDATE)
    return passed(
        f"older than {_OLD} days: {detail}. To update: {_UPDATE}" if oldest > _OLD else detail
    )


def read_helper() -> datetime:
    """Return when the packages of the helper's image were brought up to date."""
    return datetime.fromtimestamp(PACKAGES.stat().st_mtime, UTC)


def read_apache(settings: ServiceSettings) -> datetime | None:
    """Return the same of Apache's image, or None where that does not say."""
    answer = ask_through(apache(settings), Request(target=_TARGET))
    try:
        return parsedate_to_datetime(str(answer.headers.get("Last-Modified", "")))
    except ValueError:
        return None


def _format_age(age: int | None) -> str:
    return "at an unknown time" if age is None else f"{max(age, 0)} days ago"

"""The settings of the service and its commands, from the environment. Nothing has a default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .backup_schedule import parse_at, parse_drill
from .certificate_settings import CertificateSettings, read_certificate
from .claim_settings import ClaimSettings, read_claim
from .environment import Environment, Secret
from .homeserver_settings import HomeserverSettings
from .image_pins import ImagePin, parse_pins
from .publication_settings import PublicationSettings, read_publication
from .release_settings import ReleaseSettings, read_releases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import time, timedelta
    from pathlib import Path

# The generator has the same limits; both packages are held to it by one test.
_HIGHEST_BYTES: Final = 2**31 - 1
_LONGEST_USER_ID: Final = 255
_LOCALPART: Final = re.compile(r"(?![0-9]+\Z)[a-z0-9.=/+-][a-z0-9._=/+-]*")


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(HomeserverSettings):
    """What `bundle-helper run` and `check` need.

    `outside` says whether the public names lead here, by way of the tunnel; `backup_at` when the
    service `backup` makes a set, None where sets are made by hand alone. `workers` are the addresses
    of Synapse's workers, if it has any; `releases` is None where no list of releases is wanted.
    """

    base_url: str
    federation_address: str
    admin: str
    admin_password: Secret
    certificate: CertificateSettings
    claim: ClaimSettings | None
    publication: PublicationSettings | None
    notification_file: Path | None
    heartbeat_file: Path | None
    state_directory: Path
    apache_address: tuple[str, int]
    database_report_file: Path
    upload_limit: int
    outside: bool
    image_pins: tuple[ImagePin, ...]
    releases: ReleaseSettings | None
    backup_at: time | None
    backup_drill: timedelta | None
    backup_report_file: Path
    workers: tuple[tuple[str, int], ...]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ServiceSettings:
        """Read `environ` and the secret files it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        certificate = read_certificate(environment)
        settings = cls(
            server_name=environment.dns_name("SERVER_NAME"),
            homeserver=certificate.homeserver,
            base_url=environment.url("BASE_URL", ("https",)),
            federation_address=environment.text("FEDERATION_ADDRESS"),
            admin=environment.read("ADMIN", parse_localpart, ""),
            admin_password=environment.secret_file("ADMIN_PASSWORD_FILE"),
            registration_shared_secret=environment.secret_file("REGISTRATION_SHARED_SECRET_FILE"),
            certificate=certificate,
            claim=read_claim(environment),
            publication=read_publication(environment),
            notification_file=environment.optional_file("NOTIFICATION_FILE", without="none"),
            heartbeat_file=environment.optional_file("HEARTBEAT_FILE", without="none"),
            state_directory=certificate.state_directory,
            synapse_url=environment.url("SYNAPSE_URL", ("http",)),
            apache_address=environment.address("APACHE_ADDRESS"),
            verify_key=environment.verify_key("VERIFY_KEY"),
            database_report_file=environment.path("DATABASE_REPORT_FILE"),
            upload_limit=environment.number("UPLOAD_LIMIT", _HIGHEST_BYTES),
            outside=environment.yes_or_no("OUTSIDE"),
            image_pins=environment.read("IMAGE_PINS", parse_pins, ()),
            releases=read_releases(environment),
            backup_at=environment.read("BACKUP_AT", parse_at, None),
            backup_drill=environment.read("BACKUP_DRILL", parse_drill, None),
            backup_report_file=environment.path("BACKUP_REPORT_FILE"),
            workers=environment.addresses("SYNAPSE_WORKERS"),
        )
        if len(f"@{settings.admin}:{settings.server_name}") > _LONGEST_USER_ID:
            environment.problems.append(
                f"ADMIN: makes a user ID of more than {_LONGEST_USER_ID} characters"
            )
        environment.raise_problems()
        return settings


def parse_localpart(text: str) -> str:
    """Return a Matrix localpart; ValueError otherwise (Matrix specification, appendix 4.2.1)."""
    if not _LOCALPART.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a user name: a-z, 0-9 and ._=/+- are allowed, no _ at the start"
            " and not only digits"
        )
    return text

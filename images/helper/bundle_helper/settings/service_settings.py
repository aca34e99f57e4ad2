"""The settings of the service and its commands, from the environment. Nothing has a default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .certificate_settings import CertificateSettings, read_certificate
from .environment import Environment, Secret
from .image_pins import ImagePin, parse_pins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The generator has the same limits; both packages are held to it by one test.
_HIGHEST_BYTES: Final = 2**31 - 1
_LONGEST_USER_ID: Final = 255
_VERIFY_KEY: Final = re.compile(r"ed25519:[A-Za-z0-9_]+ [A-Za-z0-9+/]{43}")
_LOCALPART: Final = re.compile(r"(?![0-9]+\Z)[a-z0-9.=/+-][a-z0-9._=/+-]*")


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What `bundle-helper run` and `check` need.

    `outside` says whether the public names lead here, by way of the tunnel. `workers` are the
    addresses of Synapse's workers, if it has any.
    """

    server_name: str
    homeserver: str
    base_url: str
    federation_address: str
    admin: str
    admin_password: Secret
    registration_shared_secret: Secret
    certificate: CertificateSettings
    notification_file: Path | None
    heartbeat_file: Path | None
    state_directory: Path
    synapse_url: str
    apache_address: tuple[str, int]
    verify_key: str
    database_report_file: Path
    upload_limit: int
    outside: bool
    image_pins: tuple[ImagePin, ...]
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
            notification_file=environment.optional_file("NOTIFICATION_FILE", without="none"),
            heartbeat_file=environment.optional_file("HEARTBEAT_FILE", without="none"),
            state_directory=certificate.state_directory,
            synapse_url=environment.url("SYNAPSE_URL", ("http",)),
            apache_address=environment.address("APACHE_ADDRESS"),
            verify_key=environment.read("VERIFY_KEY", _parse_verify_key, ""),
            database_report_file=environment.path("DATABASE_REPORT_FILE"),
            upload_limit=environment.number("UPLOAD_LIMIT", _HIGHEST_BYTES),
            outside=environment.read("OUTSIDE", _parse_yes_or_no, False),
            image_pins=environment.read("IMAGE_PINS", parse_pins, ()),
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


def _parse_verify_key(text: str) -> str:
    if not _VERIFY_KEY.fullmatch(text):
        raise ValueError("is not of the form `ed25519:a_XXXX <43 characters of base64>`")
    return text


def _parse_yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"

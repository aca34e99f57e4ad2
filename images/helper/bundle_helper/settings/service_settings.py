"""What the bundle's compose.yaml tells the helper, as frozen values. Nothing has a default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..certificates.schedule import Limit, parse_limit
from ..errors import SettingsError
from .environment import (
    Environment,
    Secret,
    parse_certificate_name,
    parse_number,
    parse_path,
    read_text,
)
from .image_pins import Pin, parse_pins
from .issuers import (
    AcmeSettings,
    FilesSettings,
    parse_issuer,
    read_acme,
    read_files,
    read_optional_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HIGHEST_PORT = 65535
_HIGHEST_ID = 2**31 - 1
# The generator has the same limits; both packages are held to it by one test.
_HIGHEST_BYTES = 2**31 - 1
_LONGEST_USER_ID = 255
_LONGEST_PATIENCE = 86400
_VERIFY_KEY = re.compile(r"ed25519:[A-Za-z0-9_]+ [A-Za-z0-9+/]{43}")
_LOCALPART = re.compile(r"(?![0-9]+\Z)[a-z0-9.=/+-][a-z0-9._=/+-]*")


@dataclass(frozen=True, kw_only=True)
class VolumeOwner:
    """A mounted volume and the number of the user and group that shall own its top directory."""

    path: Path
    uid: int


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """What `bundle-helper bootstrap` needs; `database_patience` is in seconds."""

    server_name: str
    database_host: str
    database_port: int
    database_patience: int
    database_name: str
    database_role: str
    superuser_password: Secret
    role_password: Secret
    volume_owners: tuple[VolumeOwner, ...]
    report_file: Path
    instance_file: Path
    # Whether a person typed that the data that belongs to this folder is given up.
    start_empty: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BootstrapSettings:
        """Read `environ` and the secret files it names; SettingsError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            server_name=environment.dns_name("SERVER_NAME"),
            database_host=environment.text("DATABASE_HOST"),
            database_port=environment.number("DATABASE_PORT", _HIGHEST_PORT),
            database_patience=environment.number("DATABASE_PATIENCE", _LONGEST_PATIENCE),
            database_name=environment.text("DATABASE_NAME"),
            database_role=environment.text("DATABASE_ROLE"),
            superuser_password=environment.secret_file("SUPERUSER_PASSWORD_FILE"),
            role_password=environment.secret_file("ROLE_PASSWORD_FILE"),
            volume_owners=environment.read("VOLUME_OWNERS", parse_volume_owners, ()),
            report_file=environment.path("REPORT_FILE"),
            instance_file=environment.path("INSTANCE_FILE"),
        )
        _raise_if_any(environment)
        return settings


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What `bundle-helper run` and `check` need; `outside` says that the internet leads here."""

    server_name: str
    homeserver: str
    base_url: str
    federation_address: str
    admin: str
    admin_password: Secret
    registration_shared_secret: Secret
    authority_key_file: Path
    authority_certificate_file: Path
    certificate_issuer: str
    certificate_names: tuple[str, ...]
    certificates_directory: Path
    certificate_group: int
    certificate_warning: Limit
    certificate_failure: Limit
    root_file: Path | None
    notification_file: Path | None
    heartbeat_file: Path | None
    acme: AcmeSettings | None
    files: FilesSettings | None
    state_directory: Path
    synapse_url: str
    apache_address: tuple[str, int]
    verify_key: str
    database_report_file: Path
    upload_limit: int
    outside: bool
    image_pins: tuple[Pin, ...]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ServiceSettings:
        """Read `environ` and the secret files it names; SettingsError lists every problem."""
        environment = Environment(environ)
        issuer = environment.read("CERTIFICATE_ISSUER", parse_issuer, "")
        settings = cls(
            server_name=environment.dns_name("SERVER_NAME"),
            homeserver=environment.dns_name("HOMESERVER"),
            base_url=environment.url("BASE_URL", ("https",)),
            federation_address=environment.text("FEDERATION_ADDRESS"),
            admin=environment.read("ADMIN", parse_localpart, ""),
            admin_password=environment.secret_file("ADMIN_PASSWORD_FILE"),
            registration_shared_secret=environment.secret_file("REGISTRATION_SHARED_SECRET_FILE"),
            authority_key_file=_readable_file(environment, "AUTHORITY_KEY_FILE"),
            authority_certificate_file=_readable_file(environment, "AUTHORITY_CERTIFICATE_FILE"),
            certificate_issuer=issuer,
            certificate_names=environment.read("CERTIFICATE_NAMES", parse_certificate_names, ()),
            certificates_directory=environment.path("CERTIFICATES_DIRECTORY"),
            certificate_group=environment.number("CERTIFICATE_GROUP", _HIGHEST_ID),
            certificate_warning=environment.read("CERTIFICATE_WARNING", parse_limit, Limit()),
            certificate_failure=environment.read("CERTIFICATE_FAILURE", parse_limit, Limit()),
            root_file=read_optional_file(environment, "ROOT_FILE", "public"),
            notification_file=read_optional_file(environment, "NOTIFICATION_FILE", "none"),
            heartbeat_file=read_optional_file(environment, "HEARTBEAT_FILE", "none"),
            acme=read_acme(environment, issuer),
            files=read_files(environment, issuer),
            state_directory=environment.path("STATE_DIRECTORY"),
            synapse_url=environment.url("SYNAPSE_URL", ("http",)),
            apache_address=environment.address("APACHE_ADDRESS"),
            verify_key=environment.read("VERIFY_KEY", parse_verify_key, ""),
            database_report_file=environment.path("DATABASE_REPORT_FILE"),
            upload_limit=environment.number("UPLOAD_LIMIT", _HIGHEST_BYTES),
            outside=environment.read("OUTSIDE", parse_yes, False),
            image_pins=environment.read("IMAGE_PINS", parse_pins, ()),
        )
        if len(f"@{settings.admin}:{settings.server_name}") > _LONGEST_USER_ID:
            environment.problems.append(
                f"ADMIN: makes a user ID of more than {_LONGEST_USER_ID} characters"
            )
        _raise_if_any(environment)
        return settings


def parse_volume_owners(text: str) -> tuple[VolumeOwner, ...]:
    """Return the volumes of `/path=uid /path=uid`; ValueError names the first bad entry."""
    return tuple(_parse_volume_owner(entry) for entry in text.split())


def _parse_volume_owner(entry: str) -> VolumeOwner:
    path, separator, uid = entry.rpartition("=")
    if not separator:
        raise ValueError(f"{entry!r} has no owner: write /path=uid")
    return VolumeOwner(path=parse_path(path), uid=parse_number(uid, _HIGHEST_ID))


def parse_certificate_names(text: str) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of a blank-separated list, each once, in order."""
    return tuple(dict.fromkeys(parse_certificate_name(name) for name in text.split()))


def parse_localpart(text: str) -> str:
    """Return a Matrix localpart; ValueError otherwise (Matrix specification, appendix 4.2.1)."""
    if not _LOCALPART.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a user name: a-z, 0-9 and ._=/+- are allowed, no _ at the start"
            " and not only digits"
        )
    return text


def parse_verify_key(text: str) -> str:
    """Return `ed25519:<id> <unpadded base64 of 32 bytes>`; ValueError otherwise."""
    if not _VERIFY_KEY.fullmatch(text):
        raise ValueError("is not of the form `ed25519:a_XXXX <43 characters of base64>`")
    return text


def parse_yes(text: str) -> bool:
    """Return whether the text is `yes`; ValueError if it is neither that nor `no`."""
    if text not in {"yes", "no"}:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _readable_file(environment: Environment, name: str) -> Path:
    path = environment.path(name)
    if not any(problem.startswith(name) for problem in environment.problems):
        try:
            read_text(path)
        except ValueError as error:
            environment.problems.append(f"{name}: {error}")
    return path


def _raise_if_any(environment: Environment) -> None:
    if environment.problems:
        raise SettingsError(tuple(environment.problems))

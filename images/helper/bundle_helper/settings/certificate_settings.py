"""The settings of the server's certificate, from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .environment import parse_certificate_name, read_text
from .issuers import Issuer, read_issuer
from .limits import Limit, parse_limit

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

_HIGHEST_ID: Final = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class CertificateSettings:
    """Who issues the certificate, for which names, where it is published, and to which group.

    `warning` and `failure` say how long before its end a missing renewal matters. The authority is
    the bundle's own; `root_file` holds the private root of another issuer.
    """

    issuer: Issuer
    homeserver: str
    names: tuple[str, ...]
    directory: Path
    group: int
    warning: Limit
    failure: Limit
    authority_key_file: Path
    authority_certificate_file: Path
    root_file: Path | None
    state_directory: Path


def read_certificate(environment: Environment) -> CertificateSettings:
    """Return the settings of the certificate, noting problems."""
    return CertificateSettings(
        issuer=read_issuer(environment),
        homeserver=environment.dns_name("HOMESERVER"),
        names=environment.read("CERTIFICATE_NAMES", _parse_names, ()),
        directory=environment.path("CERTIFICATES_DIRECTORY"),
        group=environment.number("CERTIFICATE_GROUP", _HIGHEST_ID),
        warning=environment.read("CERTIFICATE_WARNING", parse_limit, Limit()),
        failure=environment.read("CERTIFICATE_FAILURE", parse_limit, Limit()),
        authority_key_file=environment.checked_file("AUTHORITY_KEY_FILE", read_text),
        authority_certificate_file=environment.checked_file(
            "AUTHORITY_CERTIFICATE_FILE", read_text
        ),
        root_file=environment.optional_file("ROOT_FILE", without="public"),
        state_directory=environment.path("STATE_DIRECTORY"),
    )


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parse_certificate_name(name) for name in text.split()))

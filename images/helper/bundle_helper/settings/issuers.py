"""Who issues the certificate: one type for each kind of issuer, with what that kind needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from .environment import read_secret

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

_OWN: Final = "own-authority"
_FILES: Final = "files"
# https://letsencrypt.org/docs/acme-protocol-updates/ and /docs/staging-environment/
LETSENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"
DIRECTORIES: Final = {"letsencrypt": LETSENCRYPT, "letsencrypt-staging": STAGING}
_KEY_TYPES: Final = ("default", "ecdsa", "rsa")
_ACME_URL: Final = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, kw_only=True)
class OwnAuthority:
    """The bundle's own authority, whose key the helper has."""

    name: str = _OWN


@dataclass(frozen=True, kw_only=True)
class Files:
    """The operator's own PEM files: certificate with chain, and key."""

    certificate_file: Path
    key_file: Path
    name: str = _FILES


@dataclass(frozen=True, kw_only=True)
class Acme:
    """An ACME authority and how to satisfy it; None is the authority's own default.

    `name` is a word that stands for a well-known authority, or else the URL of the directory.
    """

    name: str
    directory: str
    email: str
    profile: str | None
    key_type: str | None
    lineages_directory: Path
    token_file: Path


Issuer: TypeAlias = OwnAuthority | Files | Acme


def read_issuer(environment: Environment) -> Issuer:
    """Return the issuer with what it needs, noting problems."""
    name = environment.read("CERTIFICATE_ISSUER", _parse_name, _OWN)
    if name == _OWN:
        return OwnAuthority()
    if name == _FILES:
        return Files(
            certificate_file=environment.path("CERTIFICATE_FILE"),
            key_file=environment.path("CERTIFICATE_KEY_FILE"),
        )
    return _read_acme(environment, name)


def _parse_name(text: str) -> str:
    known = (*DIRECTORIES, _OWN, _FILES)
    if text in known or _ACME_URL.fullmatch(text):
        return text
    raise ValueError(f"{text!r} is neither an https URL nor one of {', '.join(known)}")


def _read_acme(environment: Environment, name: str) -> Acme:
    profile = environment.text("ACME_PROFILE")
    key_type = environment.read("CERTIFICATE_KEY_TYPE", _parse_key_type, "default")
    return Acme(
        name=name,
        directory=DIRECTORIES.get(name, name),
        email=environment.text("ACME_EMAIL"),
        profile=None if profile == "default" else profile,
        key_type=None if key_type == "default" else key_type,
        lineages_directory=environment.path("LINEAGES_DIRECTORY"),
        token_file=environment.checked_file("DNS_TOKEN_FILE", read_secret),
    )


def _parse_key_type(text: str) -> str:
    if text not in _KEY_TYPES:
        raise ValueError(f"{text!r} is not one of {', '.join(_KEY_TYPES)}")
    return text

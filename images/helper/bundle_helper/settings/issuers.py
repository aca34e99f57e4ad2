"""Who may issue the certificate, and what each needs from the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .environment import parse_path, read_secret, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

OWN = "own-authority"
FILES = "files"
# https://letsencrypt.org/docs/acme-protocol-updates/ and /docs/staging-environment/
LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
DIRECTORIES = {"letsencrypt": LETSENCRYPT, "letsencrypt-staging": STAGING}
_KEY_TYPES = ("default", "ecdsa", "rsa")
_ACME_URL = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, kw_only=True)
class AcmeSettings:
    """An ACME authority and how to satisfy it; None is the authority's own default."""

    directory: str
    email: str
    profile: str | None
    key_type: str | None
    lineages_directory: Path
    token_file: Path


@dataclass(frozen=True, kw_only=True)
class FilesSettings:
    """The operator's own PEM files: certificate with chain, and key."""

    certificate_file: Path
    key_file: Path


def is_acme(issuer: str) -> bool:
    """Say whether `issuer` is an ACME authority."""
    return issuer not in {OWN, FILES, ""}


def parse_issuer(text: str) -> str:
    """Return a known word or the URL of an ACME directory; ValueError otherwise."""
    known = (*DIRECTORIES, OWN, FILES)
    if text in known or _ACME_URL.fullmatch(text):
        return text
    raise ValueError(f"{text!r} is neither an https URL nor one of {', '.join(known)}")


def read_acme(environment: Environment, issuer: str) -> AcmeSettings | None:
    """Return what an ACME issuer needs, noting problems; None for any other issuer."""
    if not is_acme(issuer):
        return None
    token_file = environment.path("DNS_TOKEN_FILE")
    if "DNS_TOKEN_FILE" not in " ".join(environment.problems):
        try:
            read_secret(token_file)
        except ValueError as error:
            environment.problems.append(f"DNS_TOKEN_FILE: {error}")
    profile = environment.text("ACME_PROFILE")
    key_type = environment.read("CERTIFICATE_KEY_TYPE", parse_key_type, "default")
    return AcmeSettings(
        directory=DIRECTORIES.get(issuer, issuer),
        email=environment.text("ACME_EMAIL"),
        profile=None if profile == "default" else profile,
        key_type=None if key_type == "default" else key_type,
        lineages_directory=environment.path("LINEAGES_DIRECTORY"),
        token_file=token_file,
    )


def read_files(environment: Environment, issuer: str) -> FilesSettings | None:
    """Return where the operator's files are mounted; None for any other issuer."""
    if issuer != FILES:
        return None
    return FilesSettings(
        certificate_file=environment.path("CERTIFICATE_FILE"),
        key_file=environment.path("CERTIFICATE_KEY_FILE"),
    )


def read_optional_file(environment: Environment, name: str, without: str) -> Path | None:
    """Return the readable file that a variable names; None where it holds the word `without`."""

    def parse(text: str) -> Path | None:
        if text == without:
            return None
        path = parse_path(text)
        read_text(path)
        return path

    return environment.read(name, parse, None)


def parse_key_type(text: str) -> str:
    """Return a key type; ValueError otherwise."""
    if text not in _KEY_TYPES:
        raise ValueError(f"{text!r} is not one of {', '.join(_KEY_TYPES)}")
    return text

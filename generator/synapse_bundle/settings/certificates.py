"""The `certificates` block of the settings: who issues the certificate, and what that issuer needs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from .block import Block
from .names import FileName

OWN: Final = "own-authority"
FILES: Final = "files"
LETSENCRYPT: Final = "letsencrypt"
STAGING: Final = "letsencrypt-staging"
WORDS: Final = (LETSENCRYPT, STAGING, OWN, FILES)
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,2}[dh]|1/[2-9]")


def _check_issuer(text: str) -> str:
    if text in WORDS or re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?", text):
        return text
    raise ValueError(
        f"is not known; possible values are {', '.join(map(repr, WORDS))}"
        " or the https address of an ACME directory"
    )


def _check_limit(text: str) -> str:
    if not _LIMIT.fullmatch(text):
        raise ValueError(
            "is not a limit; use days (7d), hours (36h) or a share of the lifetime (1/3)"
        )
    return text


def _check_profile(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) or text == "default":
        raise ValueError("is not an ACME profile; use for example shortlived")
    return text


def _check_absolute_path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._@+-]+){2,}", text) or "/.." in text:
        raise ValueError("must be an absolute path of plain characters, not directly below /")
    return text


def _expand_word(value: Any) -> Any:
    """Return the block that a plain issuer is short for."""
    return {"issuer": value} if isinstance(value, str) else value


AbsolutePath = Annotated[str, AfterValidator(_check_absolute_path)]
Limit = Annotated[str, AfterValidator(_check_limit)]


class CertificateSettings(Block):
    """Who issues the server's certificate; a plain word is the issuer alone."""

    issuer: Annotated[str, AfterValidator(_check_issuer)] | None = None
    token: FileName | None = None
    root: FileName | None = None
    profile: Annotated[str, AfterValidator(_check_profile)] | None = None
    key_type: Literal["ecdsa", "rsa"] | None = None
    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None
    notify: FileName | None = None
    warn: Limit = "1/3"
    fail: Limit = "7d"

    def resolve(self, *, trial: bool) -> CertificateSettings:
        """Return the block with its issuer; raises ValueError where keys do not fit the issuer."""
        issuer = self.issuer or (OWN if trial else LETSENCRYPT)
        if trial and issuer not in {OWN, FILES}:
            raise ValueError("needs a real server_name; no authority certifies localhost")
        acme = issuer not in {OWN, FILES}
        fitting = {"token": acme, "profile": acme, "key_type": acme, "root": issuer != OWN}
        fitting |= dict.fromkeys(("certificate", "key"), issuer == FILES)
        wrong = [name for name, fits in fitting.items() if getattr(self, name) and not fits]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} does not apply to the issuer {issuer!r}")
        if issuer == FILES and not (self.certificate and self.key):
            raise ValueError("needs `certificate` and `key`, the paths of two PEM files")
        return self.model_copy(update={"issuer": issuer})

    @property
    def acme(self) -> bool:
        """Whether an ACME authority issues it, by DNS-01."""
        return self.issuer not in {OWN, FILES}


CertificateChoice = Annotated[CertificateSettings, BeforeValidator(_expand_word)]

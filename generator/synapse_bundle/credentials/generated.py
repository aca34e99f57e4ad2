"""The secrets that are generated: how each is made, and how one that exists is checked."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from . import signing_keys
from .file_names import (
    ADMIN_PASSWORD,
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    BACKUP_PASSWORD,
    INSTANCE,
    OLD_SIGNING_KEYS,
    PASSWORD_PEPPER,
    REGISTRATION,
    REPLICATION,
    ROLE_PASSWORD,
    SIGNING_KEY,
    SUPERUSER_PASSWORD,
    VALKEY,
)

# Without 0, 1, l and o: the first password is typed on a telephone.
READABLE: Final = "abcdefghijkmnpqrstuvwxyz23456789"


def _check_token(value: str) -> str:
    """Return what is wrong with a one-line secret, or an empty string."""
    if not value:
        return "is empty; delete it and a new one is made"
    if not value.isprintable() or value != value.strip():
        return "must be one line without spaces around it (a Windows line end counts)"
    return "is shorter than 8 characters" if len(value) < 8 else ""


def _check_pem(value: str) -> str:
    """Return what is wrong with a PEM file, or an empty string."""
    whole = re.fullmatch(r"-----BEGIN [A-Z ]+-----\n.+\n-----END [A-Z ]+-----", value, re.DOTALL)
    return (
        ""
        if whole
        else "is not a PEM file; delete authority.key and authority.pem to make new ones"
    )


def _make_token() -> str:
    """Return 256 random bits, for programs."""
    return secrets.token_urlsafe(32)


def _make_password(groups: int = 4) -> str:
    """Return random letters and digits that a person can type, 25 bits in each group of five."""
    return "-".join("".join(secrets.choice(READABLE) for _ in range(5)) for _ in range(groups))


def _make_backup_password() -> str:
    """Return 150 random bits: a repository can be attacked offline, wherever it lies."""
    return _make_password(6)


def _check_instance(value: str) -> str:
    """Return what is wrong with a server id, or an empty string; it is empty until the first start."""
    return (
        ""
        if re.fullmatch(r"([0-9a-f]{32})?", value)
        else "is not a server id; restore it from a backup"
    )


def _check_pepper(value: str) -> str:
    """Return what is wrong with a pepper, or an empty string; an empty one is none."""
    return "" if value.isprintable() else "must be one line; restore it from a backup"


WORKER_MAKERS: Final[dict[str, Callable[[], str]]] = {
    REPLICATION: _make_token,
    VALKEY: _make_token,
}
MAKERS: Final[dict[str, Callable[[], str]]] = {
    SUPERUSER_PASSWORD: _make_token,
    ROLE_PASSWORD: _make_token,
    REGISTRATION: _make_token,
    "macaroon_secret_key": _make_token,
    "form_secret": _make_token,
    SIGNING_KEY: signing_keys.make,
    ADMIN_PASSWORD: _make_password,
    BACKUP_PASSWORD: _make_backup_password,
    INSTANCE: str,
}
CHECKS: Final[dict[str, Callable[[str], str]]] = {
    **dict.fromkeys(MAKERS | WORKER_MAKERS, _check_token),
    SIGNING_KEY: signing_keys.check,
    OLD_SIGNING_KEYS: signing_keys.check_old,
    PASSWORD_PEPPER: _check_pepper,
    INSTANCE: _check_instance,
    AUTHORITY_KEY: _check_pem,
    AUTHORITY_CERTIFICATE: _check_pem,
}

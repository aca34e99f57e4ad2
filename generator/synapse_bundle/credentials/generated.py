"""The secrets that are generated: how each is made, and how one that exists is checked."""

from __future__ import annotations

import base64
import re
import secrets
import string
from collections.abc import Callable
from typing import Final

from .file_names import (
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    BACKUP_PASSWORD,
    INSTANCE,
    REPLICATION,
    SIGNING_KEY,
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


def _check_signing_key(value: str) -> str:
    """Return what is wrong with a signing key, or an empty string."""
    match = re.fullmatch(r"ed25519 [A-Za-z0-9_]+ ([A-Za-z0-9+/]{43})", value)
    return (
        "" if match else "is not a signing key (`ed25519 VERSION SEED`); restore it from a backup"
    )


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


def _make_signing_key() -> str:
    """Return a signing key in Synapse's format, with a random version as Synapse gives it."""
    version = "".join(secrets.choice(string.ascii_letters) for _ in range(4))
    return f"ed25519 a_{version} {encode_base64(secrets.token_bytes(32))}"


def encode_base64(data: bytes) -> str:
    """Encode as unpadded base64 (Matrix specification, appendices)."""
    return base64.b64encode(data).decode().rstrip("=")


def decode_base64(text: str) -> bytes:
    """Decode unpadded base64."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _check_instance(value: str) -> str:
    """Return what is wrong with a server id, or an empty string; it is empty until the first start."""
    return (
        ""
        if re.fullmatch(r"([0-9a-f]{32})?", value)
        else "is not a server id; restore it from a backup"
    )


# Without workers they are not made, and not read where they exist.
WORKER_MAKERS: Final[dict[str, Callable[[], str]]] = {
    REPLICATION: _make_token,
    VALKEY: _make_token,
}
MAKERS: Final[dict[str, Callable[[], str]]] = {
    "postgres_password": _make_token,
    "synapse_database_password": _make_token,
    "registration_shared_secret": _make_token,
    "macaroon_secret_key": _make_token,
    "form_secret": _make_token,
    SIGNING_KEY: _make_signing_key,
    "admin_password": _make_password,
    BACKUP_PASSWORD: _make_backup_password,
    INSTANCE: str,
}
CHECKS: Final[dict[str, Callable[[str], str]]] = {
    **dict.fromkeys(MAKERS | WORKER_MAKERS, _check_token),
    SIGNING_KEY: _check_signing_key,
    INSTANCE: _check_instance,
    AUTHORITY_KEY: _check_pem,
    AUTHORITY_CERTIFICATE: _check_pem,
}

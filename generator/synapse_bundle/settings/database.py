"""The `database` block of the settings: a PostgreSQL that is not the bundle's own."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic import ValidationInfo as Info

from .block import Block
from .names import FileName

_PROVED: Final = ("verify-full", "verify-ca")
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# Synapse would make its tables there: a role finds those in a schema of its own name first.
_SCHEMA: Final = "synapse_bundle"
_OWN_DATABASES: Final = ("postgres", "template0", "template1")


def _check_host(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        if text == "localhost":
            raise ValueError(_explain_loopback()) from None
        if len(text) > 253 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text):
            raise ValueError(
                "is not a lowercase host name or an IP address; use for example db.example.org"
            ) from None
        return text
    if address.is_loopback or address.is_unspecified:
        raise ValueError(_explain_loopback())
    return text


def _explain_loopback() -> str:
    return (
        "means the container itself; write the name or address by which other machines"
        " reach the database"
    )


def _check_name(text: str) -> str:
    # What PostgreSQL takes is far more; nobody needs it, and a connection string could mean another one.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", text):
        raise ValueError("is not a name; only letters, digits, _ and -, at most 63")
    return text


def _check_database(text: str) -> str:
    if _check_name(text) in _OWN_DATABASES:
        raise ValueError("is PostgreSQL's own; give Synapse a database of its own")
    return text


def _check_user(text: str) -> str:
    if _check_name(text) == _SCHEMA:
        raise ValueError("is the name of the bundle's own schema; use a role of another name")
    return text


class ExternalDatabase(Block):
    """A PostgreSQL that somebody else runs, with a role and a database for Synapse alone.

    `password` and `root` are files; the root is what the server's certificate is proved by.
    """

    host: Annotated[str, AfterValidator(_check_host)]
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    name: Annotated[str, AfterValidator(_check_database)] = "synapse"
    user: Annotated[str, AfterValidator(_check_user)] = "synapse_user"
    password: FileName
    sslmode: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    root: FileName | None = Field(default=None, validate_default=True)

    @field_validator("root")
    @classmethod
    def _check_root(cls, root: str | None, info: Info) -> str | None:
        sslmode = info.data.get("sslmode")
        if sslmode in _PROVED and not root:
            raise ValueError(
                f"needs `root` with sslmode {sslmode}: a file with the certificate authority of the"
                " database; for a public one /etc/ssl/certs/ca-certificates.crt"
            )
        if sslmode and sslmode not in _PROVED and root:
            raise ValueError(f"is not used with sslmode {sslmode}; remove root")
        return root

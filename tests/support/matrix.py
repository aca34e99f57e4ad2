"""The Matrix client API's own forms: paths, identifiers, the body of a login."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

CLIENT: Final = "/_matrix/client/v3"
VERSIONS: Final = "/_matrix/client/versions"
LOGIN: Final = f"{CLIENT}/login"


def escape(text: str) -> str:
    """Write an identifier as one segment of a path."""
    return quote(text, safe="")


def build_login(user: str, password: str) -> dict[str, Any]:
    """Return the body of a login with a password."""
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
    }

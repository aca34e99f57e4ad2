"""Where a cluster keeps what the helper publishes, from the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .environment import HIGHEST_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

_NONE: Final = "none"
_SECRET: Final = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9-]{1,63})")


@dataclass(frozen=True, kw_only=True)
class PublicationSettings:
    """A Secret, and how the cluster's API is reached; `access` holds token and roots.

    Kubernetes gives every container the API's address, and renews the token in place.
    """

    namespace: str
    secret: str
    access: Path
    address: tuple[str, int]


def read_publication(environment: Environment) -> PublicationSettings | None:
    """Return the settings, noting problems; None outside a cluster, where volumes are shared."""
    place = environment.read("PUBLICATION", _parse_secret, None)
    access = environment.optional_path("CLUSTER_ACCESS_DIRECTORY", without=_NONE)
    if place is None or access is None:
        return None
    return PublicationSettings(
        namespace=place[0],
        secret=place[1],
        access=access,
        address=(
            environment.text("KUBERNETES_SERVICE_HOST"),
            environment.number("KUBERNETES_SERVICE_PORT", HIGHEST_PORT),
        ),
    )


def _parse_secret(text: str) -> tuple[str, str] | None:
    if text == _NONE:
        return None
    match = _SECRET.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a Secret: write namespace/name, or none")
    return match[1], match[2]

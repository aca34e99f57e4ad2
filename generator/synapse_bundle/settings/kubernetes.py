"""The `kubernetes` block of the settings: what only a cluster has to know."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from .block import Block


def _check_registry(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._-]+)*", text):
        raise ValueError("is not a registry; use for example registry.example.org/matrix")
    return text


class KubernetesSettings(Block):
    """Where the cluster finds the bundle's own images; without a registry each node needs them.

    `database` is the operator that runs PostgreSQL there; without one it is a pod like any other.
    """

    registry: Annotated[str, AfterValidator(_check_registry)] | None = None
    database: Literal["cloudnative-pg"] | None = None

"""Row 8: what the helper's image adds to its base."""

from __future__ import annotations

from typing import Final

from tests.bench.figures import Figure, Goal
from tests.bench.memory import IMAGE
from tests.support.engine import docker
from tests.support.stacks import Stack

MEGABYTE: Final = 1e6


def measure(stack: Stack) -> list[Figure]:
    """Return the helper image's megabytes over its base."""
    helper = stack.inspect("helper")["Image"]
    added = (read_size(helper) - read_size(IMAGE)) / MEGABYTE
    return [
        Figure(
            row="8",
            what="helper image over its base",
            values=(added,),
            unit="MB",
            goal=Goal(bound=170),
        )
    ]


def read_size(image: str) -> int:
    """Return an image's bytes."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))

"""How long a test's stack lives."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.engine import docker, try_docker
from tests.support.stacks import REPOSITORY, Stack


def keep(stack: Stack) -> Iterator[Stack]:
    """Run a stack for as long as it is used, and remove every trace of it."""
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        remove_images(stack)


def remove_images(stack: Stack) -> None:
    """Remove the images that were built for a test's own checkout; others may use the shared ones."""
    if stack.source != REPOSITORY:
        built = ["--filter", f"label=com.docker.compose.project={stack.project}"]
        found = docker("image", "ls", "--quiet", *built).split()
        try_docker("image", "rm", "--force", *sorted(set(found)))

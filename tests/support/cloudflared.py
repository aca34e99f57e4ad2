"""The real cloudflared, where there is one: a program of this machine, or the pinned image's."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import Final

from synapse_bundle import images
from tests.lab.images import LABEL_FORM
from tests.support.engine import docker, try_docker

# Names the program; the lab's double does not count, it only models what this one does.
VARIABLE: Final = "CLOUDFLARED"
PROGRAM: Final = "/usr/local/bin/cloudflared"


@functools.cache
def find_fault() -> str:
    """Return one line on why no real cloudflared can judge here, or nothing."""
    named = os.environ.get(VARIABLE)
    if named:
        return "" if os.access(named, os.X_OK) else f"{VARIABLE} names no program: {named}"
    if is_image_real():
        return ""
    return f"{VARIABLE} names none, and no engine here has the image {name_image()}, but a double"


def is_required() -> bool:
    """Return whether a missing cloudflared is a failure, as it is in CI."""
    return bool(os.environ.get("SYNAPSE_BUNDLE_REQUIRE_CLOUDFLARED"))


def name_image() -> str:
    """Return the pinned image."""
    return images.read_pins()["cloudflared"].reference


def is_image_real() -> bool:
    """Return whether an engine has the pinned image, and not the lab's double under its name."""
    if not shutil.which("docker"):
        return False
    done = try_docker("image", "inspect", "--format", LABEL_FORM, name_image())
    return done.returncode == 0 and not done.stdout.strip()


def provide(directory: Path) -> Path:
    """Return the program; one that is in the image alone is copied into a directory."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    container = docker("create", name_image())
    try:
        docker("cp", "--follow-link", f"{container}:{PROGRAM}", str(directory))
    finally:
        try_docker("rm", container)
    return directory / Path(PROGRAM).name

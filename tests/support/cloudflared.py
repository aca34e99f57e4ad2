"""The real cloudflared, where one is at hand: a program of the machine, or the pinned image's."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from synapse_bundle import images
from tests.lab.images import LABEL_FORM

# Names the program; the lab's double does not count, it only models what this one does.
VARIABLE = "CLOUDFLARED"
PROGRAM = "/usr/local/bin/cloudflared"


@functools.cache
def find_fault() -> str:
    """Return one line on why no real cloudflared can judge here, or nothing."""
    named = os.environ.get(VARIABLE)
    if named:
        return "" if os.access(named, os.X_OK) else f"{VARIABLE} names no program: {named}"
    if is_image_real():
        return ""
    return f"{VARIABLE} names none, and no engine here has the image {name_image()}, but a double"


def name_image() -> str:
    """Return the pinned image."""
    return images.read_pins()["cloudflared"].reference


def is_image_real() -> bool:
    """Tell whether an engine has the pinned image, and not the lab's double under its name."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(
        ["docker", "image", "inspect", "--format", LABEL_FORM, name_image()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.returncode == 0 and not asked.stdout.strip()


def provide(directory: Path) -> Path:
    """Return the program; one that is in the image alone is copied into a directory."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    create = ["docker", "create", name_image()]
    container = subprocess.run(create, capture_output=True, text=True, check=True).stdout.strip()
    try:
        copy = ["docker", "cp", "--follow-link", f"{container}:{PROGRAM}", str(directory)]
        subprocess.run(copy, capture_output=True, check=True)
    finally:
        subprocess.run(["docker", "rm", container], capture_output=True, check=False)
    return directory / Path(PROGRAM).name

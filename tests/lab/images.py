"""The images the bundle and its recovery card name, pulled where a registry answers and built where none does."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.base_image import build_base, digest_base
from tests.lab.paths import LabPaths
from tests.lab.steps import answers, run, time_step

BASE: Final = "debian:trixie-slim"
CONTEXTS: Final = Path(__file__).parent / "images"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """How an image is built where no registry gives it."""

    context: Path
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What decides what is in it, for a label."""
        given = (f"{name}={value}" for name, value in self.arguments.items())
        return " ".join([digest_context(self.context), *given])


# As the image has its directories from this version on.
_POSTGRES_18: Final = {
    "MAJOR": "18",
    "SUITE": "forky",
    "DATA": "/var/lib/postgresql/18/docker",
    "DECLARED": "/var/lib/postgresql",
}
STAND_INS: Final = {
    "postgres:17-trixie": StandIn(context=CONTEXTS / "postgres"),
    "postgres:18-trixie": StandIn(context=CONTEXTS / "postgres", arguments=_POSTGRES_18),
    **{
        f"matrixdotorg/synapse:v{version}": StandIn(
            context=CONTEXTS / "synapse", arguments={"VERSION": version}
        )
        # The one before, the pinned one, and the one after: for updates.
        for version in ("1.162.0", "1.163.2", "1.164.0rc3")
    },
    "cloudflare/cloudflared:2026.8.2": StandIn(context=CONTEXTS / "cloudflared"),
    "valkey/valkey:8.1": StandIn(context=CONTEXTS / "valkey"),
    # No bundle names it: the recovery card does.
    "restic/restic:latest": StandIn(context=CONTEXTS / "restic"),
}
# The real tunnel connects to the internet; only the double opens a port for the tests.
DOUBLES: Final = frozenset({"cloudflare/cloudflared:2026.8.2"})
LABEL: Final = "synapse-bundle.lab"
LABEL_FORM: Final = f'{{{{index .Config.Labels "{LABEL}"}}}}'
COMPOSE_FLOOR: Final = (2, 26)
PULL_SECONDS: Final = 30.0


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version such as v2.26.1-4."""
    parts = text.strip().removeprefix("v").split("-")[0].split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def serve_all() -> bool:
    """Return whether the machine's own engine and Compose can run the bundle as they are."""
    if shutil.which("docker") is None or not answers(["docker", "info"]):
        return False
    if not answers(["docker", "compose", "version", "--short"]):
        return False
    version = parse_version(run(["docker", "compose", "version", "--short"]))
    if version < COMPOSE_FLOOR:
        return False
    return all(
        answers(["docker", "image", "inspect", tag])
        or answers(["docker", "pull", "-q", tag], timeout=600)
        for tag in [BASE, *STAND_INS]
    )


def digest_context(context: Path) -> str:
    """Return a digest over the names, modes and contents of a build context."""
    digest = hashlib.sha256()
    for path in sorted(context.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            mode = path.stat().st_mode & 0o111
            digest.update(f"{path.relative_to(context)}\0{mode}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_label(paths: LabPaths, tag: str) -> str | None:
    """Return the digest an image was built from, "" for a pulled one, None for none."""
    command = [paths.docker, "image", "inspect", "--format", LABEL_FORM, tag]
    environment = paths.list_environment()
    if not answers(command, environment=environment):
        return None
    return run(command, environment=environment).strip()


def pull(paths: LabPaths, tag: str, seconds: float) -> bool:
    """Return whether a registry gave the image in time."""
    command = [paths.docker, "pull", "-q", tag]
    return answers(command, environment=paths.list_environment(), timeout=seconds)


def prepare_base(paths: LabPaths) -> bool:
    """Make the base image available; return whether a registry serves this machine.

    The answer for the base image decides for all: one slow question instead of four.
    """
    label, digest = read_label(paths, BASE), digest_base()
    if label == digest:
        return False
    if label == "" or (label is None and pull(paths, BASE, PULL_SECONDS)):
        return True
    with time_step(f"build {BASE}"):
        build_base(paths, BASE, f"{LABEL}={digest}")
    return False


def build(paths: LabPaths, tag: str, stand_in: StandIn) -> None:
    """Build one stand-in with the engine's own builder."""
    words = ["build", "--progress=plain", "-t", tag, "--label", f"{LABEL}={stand_in.digest}"]
    for name, value in stand_in.arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    with time_step(f"build {tag}"):
        run([paths.docker, *words, str(stand_in.context)], environment=paths.list_environment())


def prepare_image(paths: LabPaths, tag: str, *, registry: bool) -> None:
    """Make one image available; build it only if it is missing or outdated."""
    stand_in, label = STAND_INS[tag], read_label(paths, tag)
    if label == stand_in.digest:
        return
    if not (registry and tag not in DOUBLES and (label == "" or pull(paths, tag, 600))):
        build(paths, tag, stand_in)


def prepare_images(paths: LabPaths) -> None:
    """Make every image of the bundle available."""
    prepare = functools.partial(prepare_image, paths, registry=prepare_base(paths))
    # Each waits for downloads about as long as it computes.
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(prepare, STAND_INS):
            pass

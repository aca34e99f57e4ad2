"""Row 14: the largest bundle becomes manifests, through the command and through the image for Compose Bridge."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from synapse_bundle import engine
from synapse_bundle.kubernetes.bundle_files import read_files
from synapse_bundle.kubernetes.compose_model import read_model
from synapse_bundle.kubernetes.conversion import convert
from tests.bench.cpu_usage import time_command
from tests.bench.figures import Contender, Figure, Goal, Sample
from tests.bench.generation import COMMAND
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext
from tests.support.engine import docker

SETTINGS: Final = """\
server_name: example.org
email: you@example.org
certificates: own-authority
memory: 4G
workers: spread
"""
# Seconds; a container that does nothing, and Compose's own reading of the bundle, are a part of them.
GOALS: Final = {"the command": 3.0, "the image": 3.0, "the function": 0.5}


def measure(context: RunContext) -> list[Figure]:
    """Time each door in a process of its own, beside what it cannot do without, and the function alone."""
    folder = context.folder / "conversion"
    folder.mkdir()
    (folder / "settings.yaml").write_text(SETTINGS)
    time_here(folder, str(COMMAND), "generate")
    bundle = folder / "bundle"
    places = {name: folder / name for name in ("in", "out")}
    for place in places.values():
        place.mkdir()
    image = docker("build", "--quiet", "--target", "transformation", str(bundle / "images/helper"))
    compose = ("docker", "compose", "--project-directory", str(bundle), "--profile", "tools")
    model = docker(*compose[1:], "--file", str(bundle / "compose.yaml"), "config")
    # Compose doubles a `$` for itself alone; Bridge hands the model over without.
    (places["in"] / "compose.yaml").write_text(model.replace("$$", "$"))
    numbers = itertools.count()
    runs: dict[str, Callable[[], Sample]] = {
        "the command": lambda: time_here(
            folder, str(COMMAND), "kubernetes", "--manifests", f"manifests-{next(numbers)}"
        ),
        "the image": functools.partial(run_image, folder, image, places["out"]),
        "the function": functools.partial(time_function, bundle),
        "docker compose config": functools.partial(time_here, bundle, *compose, "config"),
        "an idle container": functools.partial(
            time_here, folder, "docker", "run", "--rm", "--network=none", image, "true"
        ),
    }
    found = interleave(runs, rounds=context.rounds, budget=context.budget)
    docker("image", "rm", image)
    sides = {n: Contender(label=n, unit="s", samples=samples) for n, samples in found.items()}
    beside = {"the command": ("docker compose config",), "the image": ("an idle container",)}
    return [
        Figure(
            row=f"14{letter}",
            what=f"the largest bundle as manifests, by {name}",
            values=tuple(sample.value for sample in sides[name].samples),
            unit="s",
            goal=Goal(bound=bound),
            contenders=(sides[name], *(sides[other] for other in beside.get(name, ()))),
        )
        for letter, (name, bound) in zip("abc", GOALS.items(), strict=True)
    ]


def time_here(folder: Path, *command: str) -> Sample:
    """Time a command in a folder."""
    return time_command(list(command), environment=os.environ, folder=folder)


def run_image(folder: Path, image: str, manifests: Path) -> Sample:
    """Time the image as Bridge runs it, into a folder that is empty."""
    for path in sorted(manifests.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    places = {"in": "/in", "bundle": "/templates", manifests.name: "/out"}
    binds = [f"--volume={folder / name}:{place}" for name, place in places.items()]
    user = f"--user={os.getuid()}:0"
    return time_here(folder, "docker", "run", "--rm", user, "--network=none", *binds, image)


def time_function(bundle: Path) -> Sample:
    """Time the conversion alone, of a model and files that are in memory."""
    document = engine.read_model(bundle)
    files = read_files(bundle, read_model(document))
    began, used = time.perf_counter(), time.process_time()
    convert(document, files)
    return Sample(value=time.perf_counter() - began, cpu=time.process_time() - used)

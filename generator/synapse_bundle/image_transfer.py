"""The images of a bundle: found by its compose.yaml, saved from one engine, loaded into another."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from . import docker_command, engine
from .archive.index import PackedImage
from .errors import BundleError, SettingsError

_CHUNK: Final = 1 << 20
# How `docker info` names the image store in which an id is not the digest of the configuration.
_CONTAINERD: Final = "io.containerd.snapshotter"


@dataclass(frozen=True, kw_only=True)
class ComposeNeeds:
    """What all services of a bundle need beside its folder: images, and what they mount from outside."""

    images: tuple[str, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """What decides whether an engine can run images of another one, and compare their ids."""

    architecture: str
    image_store: str


def read_needs(bundle: Path) -> ComposeNeeds:
    """Return what the services of a bundle need, those of profiles and overrides included.

    Raises BundleError where Compose refuses the bundle, SettingsError for an image that is named by
    its digest.
    """
    engine.require_docker()
    document = engine.read_model(bundle, profile="*")
    services = document["services"].items()
    named = {each.get("image") or f"{document['name']}-{name}" for name, each in services}
    if pinned := sorted(name for name in named if "@" in name):
        raise SettingsError(
            "Images named by a digest cannot be loaded from a file; name them by a tag:", pinned
        )
    root = bundle.resolve()
    mounted = {source for _, each in services for source in _list_binds(each)}
    outside = {source for source in mounted if not Path(source).resolve().is_relative_to(root)}
    return ComposeNeeds(images=tuple(sorted(named)), outside=tuple(sorted(outside)))


def _list_binds(service: Mapping[str, Any]) -> list[str]:
    return [each["source"] for each in service.get("volumes", ()) if each["type"] == "bind"]


def describe_engine() -> EngineKind:
    """Return what kind of engine this machine has; raises BundleError where none answers."""
    engine.require_docker()
    asked = docker_command.run_plainly(["docker", "version", "--format", "{{.Server.Arch}}"])
    store = docker_command.run_plainly(["docker", "info", "--format", "{{json .DriverStatus}}"])
    if asked.returncode or store.returncode:
        said = (asked.stderr or store.stderr).strip() or "no reason given"
        raise BundleError(f"The Docker Engine does not answer: {said}")
    kind = "containerd" if _CONTAINERD in store.stdout else "classic"
    return EngineKind(architecture=asked.stdout.strip(), image_store=kind)


def find_images(references: Iterable[str]) -> dict[str, PackedImage]:
    """Return the images that this machine's engine has of these, by their references.

    Raises BundleError where it does not answer.
    """
    found = {}
    for reference in references:
        asked = docker_command.run_plainly(["docker", "image", "inspect", reference])
        if not asked.returncode:
            (image,) = json.loads(asked.stdout)
            layers = tuple(image["RootFS"].get("Layers") or ())
            found[reference] = PackedImage(id=image["Id"], layers=layers)
        elif "no such image" not in asked.stderr.lower():
            raise BundleError(f"The Docker Engine does not answer: {asked.stderr.strip()}")
    return found


def require_images(references: Iterable[str]) -> dict[str, PackedImage]:
    """Return images by their references; raises SettingsError where the engine lacks some."""
    references = list(references)
    found = find_images(references)
    if missing := [name for name in references if name not in found]:
        raise SettingsError(
            "Images of the bundle are missing on this machine; get them with: docker compose"
            " --profile '*' build && docker compose --profile '*' pull --ignore-buildable",
            missing,
        )
    return found


def estimate_size(references: Iterable[str]) -> int:
    """Return about how many bytes these images have, each of the layers that they share once."""
    sizes: dict[tuple[Any, ...], int] = {}
    for reference in references:
        command = ["docker", "history", "--no-trunc", "--human=false", "--format", "{{json .}}"]
        asked = docker_command.run_plainly([*command, reference])
        chain: tuple[Any, ...] = ()
        for line in reversed(asked.stdout.splitlines()):
            step = json.loads(line)
            # Layers are the same only on top of the same ones.
            chain = (hash(chain), step["CreatedAt"], step["CreatedBy"], step["Size"])
            sizes[chain] = int(step["Size"]) if step["Size"].isdigit() else 0
    return sum(sizes.values())


def save_images(references: Iterable[str]) -> Iterator[bytes]:
    """Yield a tar of images; raises BundleError where it is not whole.

    Not by python-on-whales, whose stream waits in memory for a slow reader.
    """
    with tempfile.TemporaryFile() as complaint:
        command = ["docker", "image", "save", *references]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaint
        ) as process:
            try:
                stream = cast("IO[bytes]", process.stdout)
                while chunk := stream.read(_CHUNK):
                    yield chunk
            except BaseException:
                process.kill()
                raise
        _require_success("save", process.returncode, complaint)


def load_images(chunks: Iterable[bytes]) -> None:
    """Load a tar of images; raises BundleError where the engine refuses it."""
    with tempfile.TemporaryFile() as complaint:
        command = ["docker", "image", "load", "--quiet"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaint
        ) as process:
            try:
                _feed(cast("IO[bytes]", process.stdin), chunks)
            except BaseException:
                process.kill()
                raise
        _require_success("load", process.returncode, complaint)


def _feed(pipe: IO[bytes], chunks: Iterable[bytes]) -> None:
    """Write into a process until it takes no more; why not, it says itself."""
    try:
        for chunk in chunks:
            pipe.write(chunk)
        pipe.close()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _require_success(verb: str, code: int, complaint: IO[bytes]) -> None:
    if code:
        complaint.seek(0)
        said = complaint.read().decode(errors="replace").strip() or f"exit code {code}"
        raise BundleError(f"`docker image {verb}` failed: {said}")


def list_differences(
    expected: Mapping[str, PackedImage], found: Mapping[str, PackedImage], *, same_store: bool
) -> list[str]:
    """Return a line for every image that is not the expected one.

    Its id is the digest of its configuration in one image store and that of its manifest in the
    other, so between the two the layers decide.
    """
    lines = []
    for name, image in expected.items():
        here = found.get(name)
        if here is None:
            lines.append(f"{name} is missing")
        elif here.layers != image.layers or (same_store and here.id != image.id):
            lines.append(f"{name} is {here.id}, not {image.id}")
    return lines

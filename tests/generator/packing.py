"""A small bundle to pack, and a `docker` that saves and loads its images as the real one does."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from synapse_bundle import __version__
from synapse_bundle.manifest import Manifest

IMAGES: Final = ("example/one:1", "example/two:2")
# More than one chunk, and no whole number of blocks.
SAVED: Final = bytes(range(256)) * 9000 + b"end"
_SCRIPT: Final = r"""#!/bin/sh
cd {engine} || exit
name() {{ printf %s "$1" | tr /: __; }}
case "$*" in
"compose version --short") echo 2.40.3 ;;
compose*config*) cat config.json ;;
"version --format {{{{.Server.Version}}}}") echo 29.0.0 ;;
"version --format {{{{.Server.Arch}}}}") cat arch ;;
info*) cat store ;;
"image inspect"*) cat "$(name "$3")" 2>/dev/null || {{ echo "Error: No such image: $3" >&2; exit 1; }} ;;
history*) cat history ;;
"image save"*) [ ! -x save ] || exec ./save $PPID; cat saved ;;
"image load"*) [ ! -x load ] || exec ./load $PPID; cat >loaded; cp after/* . 2>/dev/null; true ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class FakeEngine:
    """The state of a `docker` beside `directory`: one file for each answer."""

    directory: Path
    bin: Path

    @property
    def path(self) -> str:
        """The search path with this `docker` first."""
        return f"{self.bin}:/usr/bin:/bin"

    def hold(self, reference: str, id_: str, layers: tuple[str, ...], place: str = ".") -> None:
        """Let the engine have an image, or (`after`) have it once something was loaded."""
        image = {"Id": id_, "RootFS": {"Type": "layers", "Layers": list(layers)}}
        name = reference.replace("/", "_").replace(":", "_")
        (self.directory / place / name).write_text(json.dumps([image]))

    def lose_images(self) -> None:
        """Forget all images, as another machine has none; loading brings them."""
        for reference in IMAGES:
            file = self.directory / reference.replace("/", "_").replace(":", "_")
            file.rename(self.directory / "after" / file.name)

    def act(self, verb: str, script: str) -> None:
        """Let `save` or `load` be a script, whose first argument is the caller's process id."""
        path = self.directory / verb
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def loaded(self) -> bytes | None:
        """What the engine was given to load."""
        path = self.directory / "loaded"
        return path.read_bytes() if path.exists() else None


def make_engine(directory: Path, volumes: tuple[dict[str, Any], ...] = ()) -> FakeEngine:
    """Install a `docker` with both images."""
    state, programs = directory / "engine", directory / "bin"
    (state / "after").mkdir(parents=True)
    programs.mkdir()
    script = programs / "docker"
    script.write_text(_SCRIPT.format(engine=shlex.quote(str(state))))
    script.chmod(0o755)
    services = {"one": {"image": IMAGES[0], "volumes": list(volumes)}, "two": {"image": IMAGES[1]}}
    (state / "config.json").write_text(json.dumps({"name": "example", "services": services}))
    (state / "arch").write_text("amd64\n")
    (state / "store").write_text('[["Backing Filesystem","extfs"]]\n')
    step = {"CreatedAt": "2026-11-26T23:59:29Z", "CreatedBy": "COPY", "Size": str(len(SAVED))}
    (state / "history").write_text(json.dumps(step) + "\n")
    (state / "saved").write_bytes(SAVED)
    engine = FakeEngine(directory=state, bin=programs)
    for number, reference in enumerate(IMAGES):
        engine.hold(reference, f"sha256:{number}", ("sha256:base", f"sha256:layer-{number}"))
    return engine


def make_bundle(bundle: Path) -> Path:
    """Write a bundle with everything that a folder may hold."""
    for name, mode in (("", 0o755), ("secrets", 0o700), ("größe ß", 0o755), ("empty", 0o775)):
        (bundle / name).mkdir(parents=True, exist_ok=True)
        (bundle / name).chmod(mode)
    identity = Manifest(server_name="example.org", version=__version__, project="example")
    files = {
        "compose.yaml": (b"name: example\n", 0o644),
        ".manifest.json": (identity.serialize(), 0o644),
        "secrets/instance": (b"", 0o666),
        "secrets/postgres_password": (b"hunter2", 0o600),
        "größe ß/a file\\with 'all'.sh": (b"#!/bin/sh\n" * 200_000, 0o755),
        "größe ß/" + "long name " * 20: (b"", 0o444),
    }
    for name, (content, mode) in files.items():
        (bundle / name).write_bytes(content)
        (bundle / name).chmod(mode)
        os.utime(bundle / name, (1_700_000_000, 1_700_000_000))
    (bundle / "current").symlink_to("größe ß")
    (bundle / "größe ß" / "up").symlink_to("../secrets/" + "long-target" * 12)
    (bundle / ".lock").touch()
    return bundle


def make_repository(directory: Path) -> Path:
    """Write what restic makes of a directory."""
    for name in ("data/00", "index", "keys", "locks", "snapshots"):
        (directory / name).mkdir(parents=True)
    (directory / "config").write_bytes(b"config")
    (directory / "data" / "00" / "00ab").write_bytes(b"pack" * 1000)
    (directory / "locks" / "1234").write_bytes(b"of a run that ended with its machine")
    return directory

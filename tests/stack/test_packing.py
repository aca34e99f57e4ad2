"""A bundle travels as one file: packed, its images removed, unpacked elsewhere, started offline."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import pytest

from synapse_bundle import images
from synapse_bundle.manifest import Manifest
from tests.support.engine import docker, try_docker
from tests.support.pages import read_commands
from tests.support.processes import run
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

# A shell and nothing else, so that an image has 2 MB and shares no layer with any other.
DOCKERFILE: Final = """\
FROM {base} AS source
RUN mkdir /copy && cp --parents --dereference /bin/sh /bin/sleep \\
    $(ldd /bin/sh /bin/sleep | grep -o '/[^ :]*' | sort -u) /copy
FROM scratch
COPY --from=source /copy /
LABEL synapse-bundle-test={name}
ENTRYPOINT ["/bin/sh", "-c", "echo running {name}; sleep 600"]
"""
COMPOSE: Final = """\
name: {project}
services:
  one: {{image: "{one}", build: ./one, init: true, volumes: ["./größe:/data:ro"]}}
  two: {{image: "{two}", build: ./two, init: true, profiles: [tools]}}
"""


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A bundle with two images of its own, and the names of both."""

    home: Path
    project: str
    images: tuple[str, str]

    def call(self, *arguments: str) -> CompletedProcess[str]:
        """Run the command in the directory above the bundle, whatever its exit code."""
        command = [sys.executable, "-m", "synapse_bundle", *arguments]
        done = run(command, cwd=self.home, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def compose(self, folder: str, *arguments: str) -> CompletedProcess[str]:
        """Run `docker compose` in a folder."""
        return run(["docker", "compose", *arguments], cwd=self.home / folder)

    def read_ids(self) -> list[str]:
        """Return the ids of the images that the engine has."""
        found = (
            try_docker("image", "inspect", "--format", "{{.Id}}", each) for each in self.images
        )
        return [each.stdout.strip() for each in found if each.returncode == 0]

    def remove_images(self) -> None:
        """Remove both images, whose layers nothing else has."""
        try_docker("image", "rm", "--force", *self.images)
        assert self.read_ids() == []


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A bundle whose images are built, in a directory with spaces and umlauts."""
    name = uuid.uuid4().hex[:12]
    one, two = (f"synapse-bundle-test/pack-{each}:{name}" for each in ("one", "two"))
    home = tmp_path / "mein größtes Haus"
    bundle = home / "bundle"
    project = f"test-pack-{name}"
    # As the generator does it: what was built and what was pulled both have a tag.
    base = images.read_pins()["postgres"].reference
    for directory, image in (("one", one), ("two", two)):
        (bundle / directory).mkdir(parents=True)
        text = DOCKERFILE.format(base=base, name=f"{directory}-{name}")
        (bundle / directory / "Dockerfile").write_text(text)
        docker("build", "--quiet", "--network", "none", "--tag", image, str(bundle / directory))
    (bundle / "größe").mkdir()
    (bundle / "größe" / "ein Wort").write_text("angekommen\n")
    (bundle / "größe" / "hin").symlink_to("ein Wort")
    identity = Manifest(server_name="travel.test", version="0.1.0", project=project)
    (bundle / ".manifest.json").write_bytes(identity.serialize())
    (bundle / "compose.yaml").write_text(COMPOSE.format(project=project, one=one, two=two))
    journey = Journey(home=home, project=project, images=(one, two))
    yield journey
    for folder in ("bundle", "new"):
        if (home / folder).exists():
            journey.compose(folder, "--profile", "*", "down", "--timeout", "0", "--volumes")
    try_docker("image", "rm", "--force", *journey.images)


def test_a_packed_bundle_starts_without_registry(journey: Journey) -> None:
    """Every image of every profile arrives, with its id; nothing is built or pulled."""
    before = journey.read_ids()
    packed = journey.call("pack", "a b.tar")
    assert packed.returncode == 0, packed.stderr
    journey.remove_images()
    unpacked = journey.call("unpack", "a b.tar", "--output", "new")
    assert unpacked.returncode == 0, unpacked.stderr
    assert unpacked.stdout.endswith("Next:  cd new && docker compose up -d\n")
    assert journey.read_ids() == before
    journey.compose("new", "up", "--detach", "--pull", "never", "--no-build")
    wait_for(lambda: "running one-" in journey.compose("new", "logs").stdout, "it runs")
    said = journey.compose("new", "exec", "-T", "one", "sh", "-c", "read x </data/hin; echo $x")
    assert said.stdout == "angekommen\n"
    tool = ["run", "--rm", "-T", "--entrypoint", "sh", "two", "-c", "echo tool"]
    assert journey.compose("new", *tool).stdout == "tool\n"


def test_the_page_s_commands(journey: Journey) -> None:
    """Packed with the first, copied, unpacked and started with the others."""
    pack, _, unpack, _, start, _, with_backups, _ = read_commands("packing.md")
    assert with_backups == read_commands("packing.md", "With its data")[0]
    Terminal(directory=journey.home).type(pack)
    journey.remove_images()
    with tempfile.TemporaryDirectory() as elsewhere:
        there = Terminal(directory=Path(elsewhere))
        shutil.move(journey.home / "bundle.tar", there.directory)
        assert start in there.type(unpack)
        there.type(start)
        assert "one" in there.type("cd bundle && docker compose ps --services")
        there.type("cd bundle && docker compose down --timeout 0")


def test_the_size_is_told_before(journey: Journey) -> None:
    """What is announced is what comes, within the tenth that a tar of layers is larger."""
    packed = journey.call("pack")
    index, announced = packed.stdout.split("about ")[1].split(" ")[:2]
    assert announced.startswith("MB")
    size = (journey.home / "bundle.tar").stat().st_size
    assert abs(float(index) * 1e6 - size) < size / 10


def test_plain_tools_can_use_the_file(journey: Journey) -> None:
    """The commands that the document has, and `pack` prints, for a machine without this program."""
    before = journey.read_ids()
    packed = journey.call("pack")
    journey.remove_images()
    first, second, whole, verify = read_commands("packing.md", "Without this program")
    command = packed.stdout.partition("Without this program: ")[2].strip()
    assert command == f"{first} && {second}"
    with tempfile.TemporaryDirectory() as elsewhere:
        shutil.copy(journey.home / "bundle.tar", Path(elsewhere, "bundle.tar"))
        run(["sh", "-ec", command], cwd=Path(elsewhere))
        run(["sh", "-ec", f"{whole}; {verify}"], cwd=Path(elsewhere))
        assert (Path(elsewhere) / "bundle" / "größe" / "hin").read_text() == "angekommen\n"
    assert journey.read_ids() == before


def test_another_image_under_the_name_is_refused(journey: Journey) -> None:
    """Images that were exchanged in the file and its digests are found after they were loaded."""
    one, two = journey.images
    assert journey.call("pack").returncode == 0
    text = journey.home / "bundle.tar"
    ids = [json.loads(docker("image", "inspect", each))[0]["Id"] for each in journey.images]
    # The index names the other's id for each: only the engine can tell.
    content = text.read_bytes()
    exchanged = exchange(content, *ids)
    assert exchanged != content
    text.write_bytes(exchanged)
    journey.remove_images()
    done = journey.call("unpack", "--output", "new")
    assert done.returncode == 1
    assert f"{one} is {ids[0]}, not {ids[1]}" in done.stderr
    assert f"{two} is {ids[1]}, not {ids[0]}" in done.stderr
    assert not (journey.home / "new").exists()


def exchange(content: bytes, first: str, second: str) -> bytes:
    """Return an archive whose index names two ids the wrong way round, with digests that agree."""
    start = content.rindex(b'{\n "format": 1')
    end = content.index(b"\n}\n", start) + 3
    index = content[start:end]
    swapped = index.replace(first.encode(), b"?").replace(second.encode(), first.encode())
    swapped = swapped.replace(b"?", second.encode())
    before, after = (hashlib.sha256(each).hexdigest().encode() for each in (index, swapped))
    return (content[:start] + swapped + content[end:]).replace(before, after)

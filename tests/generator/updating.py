"""An engine on disk that plays Docker's part in an update, and dies where a test wants it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result

from synapse_bundle import assets, engine, images, manifest, pipeline
from synapse_bundle.cli import main
from synapse_bundle.errors import BundleError
from synapse_bundle.settings import loading
from synapse_bundle.updating import advancing, returning, update_journal
from synapse_bundle.updating.image_changes import Model, list_needs, list_synapse
from synapse_bundle.updating.update import Update
from synapse_bundle.updating.update_engine import RunningContainer, UpdateEngine
from synapse_bundle.updating.way_back import SchemaVersions
from tests.generator import runs

BEGIN: Final = datetime(2026, 11, 27, tzinfo=UTC)
OLD: Final = "matrixdotorg/synapse:v1.163.2"
NEW: Final = "matrixdotorg/synapse:v1.164.0"
# In the place of the database's version: it is being restored.
HALF: Final = -1
CALM: Final = "2026 - synapse - INFO - served\n"


def identify(name: str) -> str:
    """Return the id of an image that a test knows by a name."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@functools.cache
def parse(compose: bytes) -> Model:
    """Return the model of a compose.yaml."""
    return dict(yaml.load(compose, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506


@dataclass(kw_only=True)
class World:
    """What an engine knows. Of each image of Synapse `manners` say how it behaves, by its id.

    `starts`, `red` (rows of the check that fail), `log`, `schema` (newest, compatible).
    """

    registry: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    manners: dict[str, dict[str, Any]] = field(default_factory=dict)
    compatible: int = 84
    sets: dict[str, int] = field(default_factory=dict)
    holes: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    builds: int = 0
    calls: list[str] = field(default_factory=list)
    restored: int = 0

    def behave(self, image: str) -> dict[str, Any]:
        """Return how an image of Synapse behaves."""
        calm = {"starts": True, "red": [], "log": CALM, "schema": [94, 84]}
        return calm | self.manners.get(image, {})


@dataclass(frozen=True, kw_only=True)
class RecordingEngine(UpdateEngine):
    """An engine whose world is a file, so that it outlives the run; `dies_at` is a moment of a run.

    Each call has two: before it does anything, and after.
    """

    file: Path
    dies_at: int = -1
    moments: list[int] = field(default_factory=lambda: [0])

    def read(self) -> World:
        """Return the world."""
        return World(**json.loads(self.file.read_text()))

    @contextlib.contextmanager
    def change(self, call: str = "") -> Iterator[World]:
        """Change the world, all of it or nothing; die before or after if it is the moment."""
        self.pass_moment()
        world = self.read()
        world.calls += [call] if call else []
        try:
            yield world
        finally:
            beside = self.file.with_suffix(".new")
            beside.write_text(json.dumps(dataclasses.asdict(world)))
            beside.replace(self.file)
        self.pass_moment()

    def pass_moment(self) -> None:
        """Count a moment, and die if it is the one."""
        if self.moments[0] == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.moments[0] += 1

    def identify(self) -> str:
        return "engine"

    def read_present(self) -> Model:
        return parse((self.bundle / "compose.yaml").read_bytes())

    def read_planned(self, compose: bytes) -> Model:
        return parse(compose)

    def list_containers(self) -> list[RunningContainer]:
        world = self.read()
        return [
            RunningContainer(service=name, reference=world.references[name], image=image)
            for name, image in world.containers.items()
        ]

    def find_images(self, references: Iterable[str]) -> dict[str, str]:
        world = self.read()
        return {each: world.named[each] for each in references if each in world.named}

    def name_image(self, image: str, reference: str) -> None:
        with self.change() as world:
            if image not in world.named.values() and image not in world.containers.values():
                raise BundleError(f"{image} is not here")
            world.named[reference] = image

    def remove_image(self, reference: str) -> bool:
        with self.change(f"remove {reference}") as world:
            names = [name for name, image in world.named.items() if image == reference]
            gone = world.named.get(reference, reference)
            others = [n for n, image in world.named.items() if image == gone and n != reference]
            if gone in world.containers.values() and not others:
                return False
            for name in names or [reference]:
                world.named.pop(name, None)
            return True

    def pull(self, reference: str) -> str:
        with self.change(f"pull {reference}") as world:
            if reference not in world.registry:
                return "no route to host"
            world.named[reference] = world.registry[reference]
            return ""

    def build(self, services: Iterable[str]) -> None:
        with self.change("build") as world:
            world.builds += 1
            model = self.read_present()["services"]
            for name in services:
                world.named[model[name]["image"]] = identify(f"{name}-{world.builds}")

    def start(self, *services: str) -> None:
        with self.change(" ".join(["start", *services])) as world:
            model = self.read_present()
            chosen = services or [n for n, s in model["services"].items() if "profiles" not in s]
            for name in chosen:
                world.references[name] = model["services"][name]["image"]
                world.containers[name] = world.named[world.references[name]]
            if not services:
                world.containers = {n: i for n, i in world.containers.items() if n in chosen}
                world.stopped = []
                self._start_synapse(world, world.containers["synapse"])

    def _start_synapse(self, world: World, image: str) -> None:
        newest, compatible = world.behave(image)["schema"]
        if world.compatible == HALF:
            raise BundleError("a restore was interrupted")
        if world.compatible > newest:
            raise BundleError("Cannot use this database as it is too new")
        world.compatible = max(world.compatible, compatible)
        if not world.behave(image)["starts"]:
            raise BundleError("synapse does not start: it has ended 3 times.")

    def stop(self, services: Iterable[str]) -> None:
        with self.change(f"stop {' '.join(services)}") as world:
            world.stopped = list(services)

    def check(self) -> dict[str, str] | None:
        world = self.read()
        self.pass_moment()
        manners = world.behave(world.containers["synapse"])
        rows = dict.fromkeys(["backup", "sign in"], "")
        return rows | dict.fromkeys(manners["red"], "is red")

    def find_holes(self) -> dict[str, str] | None:
        return self.read().holes

    def read_log(self, services: Iterable[str]) -> str:  # noqa: ARG002
        world = self.read()
        return str(world.behave(world.containers["synapse"])["log"])

    def read_recent_log(self, services: Iterable[str]) -> str:
        return self.read_log(services)

    def read_schema(self, image: str) -> SchemaVersions | None:
        newest, compatible = self.read().behave(image)["schema"]
        return SchemaVersions(newest=newest, compatible=compatible)

    def read_compatible(self, database: str) -> int | None:  # noqa: ARG002
        compatible = self.read().compatible
        return None if compatible == HALF else compatible

    def make_set(self) -> str:
        with self.change("set") as world:
            name = f"set-{len(world.sets)}"
            world.sets[name] = world.compatible
            return name

    def restore_database(self, set_name: str) -> None:
        with self.change() as world:
            assert set(list_synapse(self.read_present())) <= set(world.stopped)
            world.compatible = HALF
        with self.change(f"restore {set_name}") as world:
            world.compatible = world.sets[set_name]
            world.restored += 1


@dataclass(kw_only=True)
class Place:
    """A bundle that runs on such an engine."""

    folder: Path
    patch: pytest.MonkeyPatch
    settings: str = ""
    said: list[str] = field(default_factory=list)
    answer: bool = False
    passed: timedelta = timedelta()

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.folder / "bundle"

    def open_engine(self, dies_at: int = -1) -> RecordingEngine:
        """Return the engine."""
        return RecordingEngine(bundle=self.bundle, file=self.folder / "world", dies_at=dies_at)

    @property
    def world(self) -> World:
        """What the engine knows."""
        return self.open_engine().read()

    @contextlib.contextmanager
    def change(self) -> Iterator[World]:
        """Change what the engine knows."""
        with self.open_engine().change() as world:
            yield world

    def release(self, tag: str, **manners: Any) -> str:
        """Let this generator have another tag of Synapse, which a registry has; return its id."""
        pins = images.read_pins()
        pins["synapse"] = dataclasses.replace(pins["synapse"], tag=tag)
        self.patch.setattr(images, "read_pins", lambda: pins)
        reference = pins["synapse"].reference
        image = identify(reference)
        with self.change() as world:
            world.registry[reference] = image
            world.manners[image] = manners
        return image

    def open_update(self, dies_at: int = -1, **options: Any) -> Update:
        """Return an update as the command makes it."""
        usual: dict[str, Any] = {
            "settings": loading.parse(self.settings, "settings.yaml"),
            "bundle": self.bundle,
            "base": self.folder,
            "engine": self.open_engine(dies_at),
            "ledger": update_journal.read(self.bundle, "engine"),
            "offline": False,
            "one_way": False,
            "ask": lambda _: self.answer,
            "report": self.said.append,
            "now": lambda: BEGIN + self.passed,
        }
        return Update(**usual | options)

    def update(self, dies_at: int = -1, *, with_set: bool = True, **options: Any) -> bool:
        """Update, or finish what was cut off; return whether the update stands."""
        run = self.open_update(dies_at, **options)
        if run.ledger.underway is None:
            advancing.tidy(run)
            set_name = run.engine.make_set() if with_set else None
            run.settle(underway=advancing.begin(run, set_name))
        if run.journal.reason:
            returning.perform(run)
            return False
        return advancing.perform(run)

    def type(self, *options: str) -> Result:
        """Type the command, and return what became of it."""
        command = import_module("synapse_bundle.commands.update")
        file = self.folder / "world"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(command, "UpdateEngine", functools.partial(RecordingEngine, file=file))
            patch.setattr(engine, "require_docker", lambda: None)
            patch.chdir(self.folder)
            Path("settings.yaml").write_text(self.settings)
            return CliRunner().invoke(main, ["update", *options])

    def take_back(self) -> None:
        """Take the last update back, as --back does."""
        run = self.open_update()
        run.settle(underway=run.ledger.underway or run.ledger.last)
        run.note(reason="asked for")
        returning.perform(run)

    def cut_off(self, dies_at: int) -> bool:
        """Update in a process of its own until a moment; return whether it was killed there."""
        return is_killed(lambda: self.update(dies_at))

    def cut_off_at_rename(self, number: int) -> bool:
        """The same, until the bundle's files are about to change for that time."""

        def work() -> None:
            runs.strike("kill", number, str(self.bundle), ("os.rename",))
            self.update()

        return is_killed(work)

    def read_files(self) -> dict[str, bytes]:
        """Return the files of the bundle, but for secrets that are made once, and for what is hidden."""
        known = manifest.read(self.bundle, force=False)
        assert known
        return {name: (self.bundle / name).read_bytes() for name in known.files}

    def find_references(self) -> tuple[str, ...]:
        """Return the images that the bundle uses now."""
        return list_needs(self.open_engine().read_present()).references


def is_killed(work: Callable[[], object]) -> bool:
    """Do something in a process of its own; return whether that was killed."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        except Exception:  # noqa: BLE001  # whatever it is, the test shall see it
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.waitstatus_to_exitcode(status) == 0
    return killed


def make_place(folder: Path, patch: pytest.MonkeyPatch) -> Place:
    """Make a bundle that runs; the registry has its images as they are here."""
    patch.setenv("PATH", "/nonexistent")
    few = folder / "assets"
    shutil.copytree(runs.REPOSITORY / "compose", few / "compose")
    for name in ("apache", "helper"):
        (few / "images" / name).mkdir(parents=True)
        (few / "images" / name / "Dockerfile").write_text("FROM scratch\n")
    patch.setattr(assets, "locate", lambda name: few / name)
    place = Place(folder=folder, patch=patch)
    (folder / "world").write_text(json.dumps(dataclasses.asdict(World())))
    settings = loading.parse("", "settings.yaml")
    pipeline.write(settings, place.bundle, None, {}, force=False)
    model = place.open_engine().read_present()
    needs = list_needs(model)
    with place.change() as world:
        world.named = {each: identify(f"old {each}") for each in needs.references}
        world.named["debian:trixie-slim"] = identify("debian")
        world.registry = {each: world.named[each] for each in (*needs.pulled, "debian:trixie-slim")}
        world.registry["valkey/valkey:8.1"] = identify("valkey")
        world.references = {name: each["image"] for name, each in model["services"].items()}
        world.containers = {
            name: world.named[each["image"]]
            for name, each in model["services"].items()
            if "profiles" not in each
        }
    return place

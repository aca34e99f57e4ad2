"""Images of updates on a real engine: they are kept for the way back, and the disk does not grow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from synapse_bundle.updating import kept_images
from synapse_bundle.updating.update_engine import UpdateEngine
from synapse_bundle.updating.update_journal import Generation, Ledger
from tests.support.engine import docker, try_docker

pytestmark = pytest.mark.engine

BYTES: Final = 1_000_000
FIRST: Final = datetime(2026, 11, 27, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The engine's images that belong to one test."""

    folder: Path
    project: str

    @property
    def label(self) -> str:
        """What they have in common, with or without a name."""
        return f"synapse-bundle.test={self.project}"

    def name(self, number: int) -> str:
        """Return the tag of a release."""
        return f"synapse-bundle-test/{self.project}:{number}"

    def make(self, number: int) -> str:
        """Make the image of a release, which has a layer of its own; return its id."""
        (self.folder / "content").write_bytes(os.urandom(BYTES))
        (self.folder / "Dockerfile").write_text("FROM scratch\nCOPY content /\n")
        words = ("--quiet", "--label", self.label, "--tag", self.name(number), str(self.folder))
        return docker("build", *words)

    def list_images(self) -> set[str]:
        """Return the ids of all that are there."""
        listed = docker("image", "ls", "--all", "--quiet", "--no-trunc", "--filter",
                        f"label={self.label}")  # fmt: skip
        return set(listed.split())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(folder=tmp_path, project=f"kept-{os.getpid()}")
    yield made
    try_docker("image", "rm", "--force", *made.list_images())


def test_twenty_updates_in_a_week_keep_two_generations(disk: Disk) -> None:
    """Present, last, and the newest that had stood for a week before; and in the end the present one alone."""
    engine = UpdateEngine(bundle=disk.folder)
    ledger, now = Ledger(engine="engine", stood=FIRST - timedelta(days=30)), FIRST
    running = first = disk.make(0)
    for number in range(1, 21):
        now += timedelta(hours=8)
        before = {disk.name(number - 1): running}
        engine.name_image(running, kept_images.name_kept(disk.project, running))
        running, last = disk.make(number), running
        old = Generation(images=before, began=ledger.stood, ended=now)
        ledger = replace(ledger, generations=(*ledger.generations, old), stood=now)
        ledger = kept_images.tidy(ledger, engine, disk.project, [disk.name(number)], now)
        assert disk.list_images() == {running, last, first}
    now += timedelta(days=8)
    kept_images.tidy(ledger, engine, disk.project, [disk.name(20)], now)
    assert disk.list_images() == {running}

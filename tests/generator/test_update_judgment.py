"""What decides about an update, each alone: Synapse's log, the schema, the images of two models."""

from __future__ import annotations

import pytest

from synapse_bundle.updating import synapse_log, way_back
from synapse_bundle.updating.image_changes import list_needs, list_synapse, write_changes
from synapse_bundle.updating.way_back import SchemaVersions

LOG = """\
2026 - synapse.app - 1 - INFO - main - Starting
2026 - synapse.http - 9 - ERROR - GET-1 - Failed handle request
Traceback (most recent call last):
  File "a.py", line 1, in f
    raise KeyError("a: b")
KeyError: 'a: b'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
synapse.api.errors.SynapseError: 500: no
2026 - synapse.app - 1 - INFO - main - Ready: all
"""


def test_tracebacks_are_known_by_the_exception_that_ends_them() -> None:
    """Both of a chain, and no other line."""
    assert synapse_log.list_tracebacks(LOG) == {"KeyError", "synapse.api.errors.SynapseError"}
    assert synapse_log.list_tracebacks("Ready: all\nValueError: quoted\n") == set()


@pytest.mark.parametrize("mark", synapse_log.MARKS)
def test_each_mark_is_found(mark: str) -> None:
    assert synapse_log.find_marks(f"{LOG}2026 - x - 1 - ERROR - {mark} 9\n") != []
    assert synapse_log.find_marks(LOG) == []


@pytest.mark.parametrize(
    ("schema", "compatible", "needed"),
    [(94, 94, False), (94, 95, True), (94, None, False), (None, 95, False)],
)
def test_data_is_needed_beyond_the_old_schema(
    schema: int | None, compatible: int | None, *, needed: bool
) -> None:
    """Synapse refuses a database whose compat_version is above its own SCHEMA_VERSION."""
    assert way_back.needs_data(schema, compatible) == needed


def test_what_is_said_before_the_start() -> None:
    """By image alone, by the set, or that there is none, or that it is not known."""
    near, far = (SchemaVersions(newest=96, compatible=c) for c in (94, 95))
    assert "by image alone" in way_back.foretell(94, near, "s")
    assert "by restoring the set s" in way_back.foretell(94, far, "s")
    assert "The way back: none" in way_back.foretell(94, far, None)
    assert "do not say" in way_back.foretell(None, near, "s")
    same = way_back.describe(reason="", schema=94, same_synapse=True)
    assert same == "The way back: by image alone; Synapse's image stays the same."


def test_the_images_of_two_models() -> None:
    """What is pulled, what is built once for several services, what is new."""
    before = {
        "name": "p",
        "services": {
            "synapse": {"image": "s:1"},
            "worker": {"image": "s:1"},
            "database": {"image": "d:1"},
            "bootstrap": {"image": "own/helper:a", "build": {}},
            "helper": {"image": "own/helper:a"},
            "mine": {"build": {}},
            "loaded": {"image": "l:1", "pull_policy": "never"},
        },
    }
    after = {
        "name": "p",
        "services": before["services"]  # type: ignore[operator]
        | {"synapse": {"image": "s:2"}, "worker": {"image": "s:2"}, "bus": {"image": "b:1"}},
    }
    needs = list_needs(after)
    assert needs.pulled == ("s:2", "d:1", "b:1")
    assert needs.built == {"own/helper:a": "bootstrap", "p-mine": "mine"}
    assert needs.loaded == ("l:1",)
    assert list_synapse(after) == ["synapse", "worker"]
    assert list(write_changes(before, after, offline=False)) == [
        "synapse: s:1 -> s:2",
        "database: d:1 (pulled again)",
        "bus: b:1 (new)",
        "helper, p-mine: built anew, with today's packages",
    ]

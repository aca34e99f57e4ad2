"""The bundles as they are, for every shape: a change of any template shows in the review."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bundles import plan_shape
from tests.settings import SHAPES

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_bundle_is_as_reviewed(shape: Path, request: pytest.FixtureRequest) -> None:
    """The rendered files equal the committed ones; `make golden` rewrites them."""
    directory = GOLDEN / shape.stem
    # The tag of an own image follows its sources; here it would make every edit a new golden.
    planned = {
        str(file.path): _mask(file.content)
        for file in plan_shape(shape).files
        if file.path.parts[0] != "images"
    }
    if request.config.getoption("--update-golden"):
        shutil.rmtree(directory, ignore_errors=True)
        for name, content in planned.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    golden = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert sorted(golden) == sorted(planned)
    for name, content in planned.items():
        assert content.decode() == golden[name].decode(), name


def _mask(content: bytes) -> bytes:
    import re

    return re.sub(rb"(synapse-bundle/\w+:)[0-9a-f]{12}", rb"\1<context>", content)

"""The bundles as they are, for every shape: a change of any template shows in the review."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from synapse_bundle import __version__, assets
from synapse_bundle.rendering import SUFFIX
from synapse_bundle.settings import loading
from tests.bundles import fake_credentials, plan_shape
from tests.settings import EXTERNAL, SHAPES

GOLDEN = Path(__file__).parents[1] / "golden"
# One template for all of them.
PROCESSES = "synapse/workers/"


def _find_sources(*, rendered: bool) -> dict[str, Path]:
    """Return the sources of the template tree by their path in the bundle: templates, or the rest."""
    return {
        str(path).removesuffix(SUFFIX): source
        for path, source in assets.walk(assets.locate("compose"))
        if (path.suffix == SUFFIX) == rendered
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_bundle_is_as_reviewed(shape: Path, request: pytest.FixtureRequest) -> None:
    """The rendered files equal the committed ones; `make golden` rewrites them."""
    directory = GOLDEN / shape.stem
    rendered = _find_sources(rendered=True)
    # The tag of an own image follows its sources: it would make every edit a new golden bundle, as
    # the version would every release.
    planned = {
        str(file.path): _mask(file.content)
        for file in plan_shape(shape).files
        if str(file.path) in rendered or str(file.path).startswith(PROCESSES)
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


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_what_is_not_rendered_is_copied(shape: Path) -> None:
    """Every other file is, byte for byte, one of `compose/` or `images/`, or a secret's value."""
    secrets = fake_credentials(loading.load(shape)).values
    expected = {name: source.read_bytes() for name, source in _find_sources(rendered=False).items()}
    expected |= {
        f"images/{path}": source.read_bytes()
        for path, source in assets.walk(assets.locate("images"))
    }
    expected |= {
        f"images/helper/kubernetes/{path}": source.read_bytes()
        for path, source in assets.walk(assets.CONVERTER)
    }
    expected |= {f"secrets/{name}": f"{value}\n".encode() for name, value in secrets.items()}
    if shape in EXTERNAL:
        # Only the bundle's own database mounts these.
        expected = {
            name: text for name, text in expected.items() if not name.startswith("postgres/")
        }
    rendered = _find_sources(rendered=True)
    files = {str(file.path): file.content for file in plan_shape(shape).files}
    copied = {
        name: text
        for name, text in files.items()
        if name not in rendered and not name.startswith(PROCESSES)
    }
    assert copied == expected


def _mask(content: bytes) -> bytes:
    content = re.sub(rb"(synapse-bundle/\w+:)[0-9a-f]{12}", rb"\1<context>", content)
    return content.replace(f"synapse-bundle {__version__}".encode(), b"synapse-bundle <version>")

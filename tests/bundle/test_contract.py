"""What compose.yaml tells the helper is exactly what the helper reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle_helper.settings import BootstrapSettings, ServiceSettings
from synapse_bundle import credentials, loading, planning
from tests.bundles import read_compose
from tests.settings import DIRECTORY, SHAPES


class Watched(dict[str, str]):
    """An environment that remembers what was read from it."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a variable and note its name."""
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        """Return a variable and note its name."""
        self.seen.add(key)
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        """Refuse to be read as a whole: nobody could then tell what is used."""
        raise AssertionError("the environment is read name by name")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("service", "reader"), [("bootstrap", BootstrapSettings), ("helper", ServiceSettings)]
)
def test_environment_is_complete_and_wholly_used(
    tmp_path: Path, shape: Path, service: str, reader: Any
) -> None:
    """No variable is missing, none is wrong, and none is passed for nothing."""
    settings = loading.load(shape)
    secrets = credentials.collect(tmp_path, settings, DIRECTORY)
    model = read_compose(planning.plan(settings, secrets, {}))
    for name, value in secrets.values.items():
        (tmp_path / name).write_text(f"{value}\n")
    environment = Watched(
        {
            name: value.replace("/run/secrets/", f"{tmp_path}/")
            for name, value in model["services"][service]["environment"].items()
        }
    )
    reader.from_environ(environment)
    assert environment.seen == set(environment.keys())

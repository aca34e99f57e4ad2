"""What compose.yaml gives backup and restore is exactly what they read, with the same limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bundle_helper.errors import InvalidEnvironmentError
from bundle_helper.settings.backup_settings import BackupSettings
from synapse_bundle import planning, topology
from synapse_bundle.credentials import collection
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.bundle.test_contract import Watched
from tests.bundles import read_compose
from tests.settings import BACKED_UP, DIRECTORY


def read_environment(directory: Path, shape: Path, service: str) -> dict[str, str]:
    """Return a service's environment, with the secrets it names in a directory of this machine."""
    chosen = loading.load(shape)
    secrets = collection.collect(directory, chosen, DIRECTORY)
    model = read_compose(planning.plan(chosen, secrets, {}))
    (directory / "secrets").mkdir(exist_ok=True)
    for name, value in secrets.values.items():
        (directory / "secrets" / name).write_text(f"{value}\n")
    return {
        name: value.replace(f"{topology.BACKUP.bundle}/", f"{directory}/").replace(
            f"{topology.SECRETS}/", f"{directory}/secrets/"
        )
        for name, value in model["services"][service]["environment"].items()
    }


@pytest.mark.parametrize("shape", BACKED_UP, ids=lambda path: path.stem)
@pytest.mark.parametrize("service", ["backup", "restore"])
def test_environment_is_complete_and_wholly_used(tmp_path: Path, shape: Path, service: str) -> None:
    """No variable is missing, none is wrong, and none is passed for nothing."""
    environment = Watched(read_environment(tmp_path, shape, service))
    BackupSettings.from_environ(environment)
    assert environment.seen == set(environment.keys())


def generator_accepts(values: dict[str, Any]) -> bool:
    """Tell whether the block `backup` may hold these values."""
    try:
        Settings.model_validate({"backup": values})
    except ValidationError:
        return False
    return True


def helper_accepts(environment: dict[str, str], name: str, value: str) -> bool:
    """Tell whether the service starts with a value in its environment."""
    try:
        BackupSettings.from_environ(environment | {name: value})
    except InvalidEnvironmentError:
        return False
    return True


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What compose.yaml gives the service `backup` with a schedule."""
    shape = DIRECTORY / "backup_folder.yaml"
    return read_environment(tmp_path_factory.mktemp("contract"), shape, "backup")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *((text, True) for text in ("00:00", "03:30", "23:59")),
        *((text, False) for text in ("24:00", "3:30", "03:60", "0330", "03:30:00", "")),
    ],
)
def test_both_packages_take_the_same_times(
    text: str, good: bool, environment: dict[str, str]
) -> None:
    """A time of day is one for both or for neither."""
    assert generator_accepts({"at": text}) == good
    assert helper_accepts(environment, "BACKUP_AT", text) == good


@pytest.mark.parametrize(("days", "good"), [(1, True), (365, True), (0, False), (366, False)])
def test_both_packages_take_the_same_cycles(
    days: int, good: bool, environment: dict[str, str]
) -> None:
    """The days in which a repository is read once have the same limits."""
    assert generator_accepts({"verify": days}) == good
    assert helper_accepts(environment, "BACKUP_VERIFY", f"{days}") == good


@pytest.mark.parametrize(("count", "good"), [(0, True), (9999, True), (10000, False), (-1, False)])
def test_both_packages_keep_the_same_numbers(
    count: int, good: bool, environment: dict[str, str]
) -> None:
    """Retention has the same limits."""
    assert generator_accepts({"keep": {"daily": count}}) == good
    text = f"daily={count} weekly=5 monthly=12"
    assert helper_accepts(environment, "BACKUP_KEEP", text) == good


@pytest.mark.parametrize("word", ["none", "daily", "weekly", "monthly", "yearly", "Daily"])
def test_both_packages_know_the_same_periods(word: str, environment: dict[str, str]) -> None:
    """How often a drill runs is a word for both or for neither."""
    assert generator_accepts({"drill": word}) == helper_accepts(environment, "BACKUP_DRILL", word)

"""What a drill is once Compose has merged drill.yaml over compose.yaml: apart from the server, and shut in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from bundle_helper.settings.backup_settings import BackupSettings
from bundle_helper.settings.drill_settings import DrillSettings
from synapse_bundle import topology
from synapse_bundle.settings import loading, names
from synapse_bundle.settings.model import Settings
from tests.bundle.test_backup_contract import read_environment
from tests.bundle.test_contract import Watched
from tests.bundles import DrillLoader, plan_settings, plan_shape, read_compose
from tests.settings import BACKED_UP
from tests.support.processes import run

SERVICES: Final = {"postgres", "restore", "bootstrap", "synapse", "drill"}
OWN: Final = "synapse-bundle/"


@pytest.fixture(params=BACKED_UP, ids=lambda path: path.stem)
def shape(request: pytest.FixtureRequest) -> Path:
    """Every supported shape that is backed up, in turn."""
    path: Path = request.param
    return path


@pytest.fixture
def merged(shape: Path, tmp_path: Path) -> dict[str, Any]:
    """The model as Compose understands it; it must not even warn."""
    for name in ("compose.yaml", "drill.yaml"):
        (file,) = (f for f in plan_shape(shape).files if str(f.path) == name)
        (tmp_path / name).write_bytes(file.content)
    files = ["--file", "compose.yaml", "--file", "drill.yaml"]
    done = run(["docker", "compose", *files, "config", "--format", "json"], cwd=tmp_path)
    assert done.stderr == ""
    model: dict[str, Any] = json.loads(done.stdout)
    return model


def read_drill(shape: Path) -> dict[str, Any]:
    """Return drill.yaml as it is, unmerged."""
    (file,) = (f for f in plan_shape(shape).files if str(f.path) == "drill.yaml")
    model: dict[str, Any] = yaml.load(file.content, Loader=DrillLoader)  # noqa: S506
    return model


@pytest.mark.engine
def test_it_is_what_is_needed_and_no_more(merged: dict[str, Any]) -> None:
    """The front door, the tunnel and the service of backups have no part in it."""
    assert set(merged["services"]) == SERVICES
    assert not [name for name, service in merged["services"].items() if "profiles" in service]


@pytest.mark.engine
def test_only_a_restore_from_elsewhere_has_a_way_out(shape: Path, merged: dict[str, Any]) -> None:
    """Every network is internal, but that of the restore where the repository is not a folder."""
    remote = loading.load(shape).backup.kind != "folder"
    open_ = {name for name, network in merged["networks"].items() if not network.get("internal")}
    assert open_ == ({"repository"} if remote else set())
    for name, service in merged["services"].items():
        ways_out = set(service["networks"]) & open_
        assert ways_out == (open_ if name == "restore" else set()), name
        assert "network_mode" not in service, name


@pytest.mark.engine
def test_nothing_is_published(merged: dict[str, Any]) -> None:
    """No port of the machine leads into it."""
    assert not [name for name, service in merged["services"].items() if service.get("ports")]


@pytest.mark.engine
def test_no_volume_is_the_servers(shape: Path, merged: dict[str, Any]) -> None:
    """Project, volumes and networks have names of their own, which no bundle can have."""
    project = loading.load(shape).project
    own = names.name_drill(project)
    assert merged["name"] == own != project
    made = [v["name"] for kind in ("volumes", "networks") for v in merged[kind].values()]
    assert [name for name in made if not name.startswith(f"{own}_")] == []
    assert all(not volume.get("external") for volume in merged["volumes"].values())


@pytest.mark.engine
def test_nothing_of_the_folder_can_be_written(merged: dict[str, Any]) -> None:
    """Every mount of a file or folder is read-only: the instance and the repository too."""
    for name, service in merged["services"].items():
        for mount in service["volumes"]:
            assert mount["type"] == "volume" or mount["read_only"], (name, mount)


@pytest.mark.engine
def test_nothing_of_it_lives_on(merged: dict[str, Any]) -> None:
    """A drill that was killed does not come back when the machine starts."""
    assert {service["restart"] for service in merged["services"].values()} == {"no"}


@pytest.mark.engine
def test_its_services_are_as_hardened_as_the_servers(merged: dict[str, Any]) -> None:
    """No capability but those that compose.yaml gives, nothing pulled, nothing written to an image."""
    for name, service in merged["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["init"] is True, name
        assert int(service["mem_limit"]) > 0 < service["pids_limit"], name
        assert service.get("pull_policy") == ("never" if OWN in service["image"] else None), name
    assert "cap_add" not in merged["services"]["drill"]


@pytest.mark.engine
def test_synapse_says_nothing_to_anybody(merged: dict[str, Any]) -> None:
    """What sends is off, and is read after everything else, the operator's own keys included."""
    command = merged["services"]["synapse"]["command"]
    assert command[-1] == f"{topology.SYNAPSE.configuration}/drill.yaml"


def test_what_sends_is_off() -> None:
    """Federation, pushes, mail, and whatever is asked or loaded from elsewhere at a start."""
    (file,) = (f for f in plan_shape(BACKED_UP[0]).files if str(f.path) == "synapse/drill.yaml")
    assert yaml.safe_load(file.content) == {
        "federation_domain_whitelist": [],
        "send_federation": False,
        "start_pushers": False,
        "push": {"enabled": False},
        "email": None,
        "trusted_key_servers": [],
        "report_stats": False,
        "url_preview_enabled": False,
        "app_service_config_files": [],
        "modules": [],
        "oidc_providers": [],
    }


def read_configuration(settings: Settings) -> dict[str, Any]:
    """Return what Synapse reads in a drill, keys that say nothing left out."""
    files = {str(file.path): file.content for file in plan_settings(settings).files}
    whole: dict[str, Any] = {}
    for name in ("synapse/homeserver.yaml", "secrets/synapse.yaml", "synapse/drill.yaml"):
        whole |= yaml.safe_load(files[name])
    # Each process has its part of the caches, and nobody asks for the secret.
    idle = {"caches", "worker_replication_secret"}
    return {key: value for key, value in whole.items() if value is not None and key not in idle}


def test_one_process_does_what_workers_did(shape: Path) -> None:
    """Synapse is configured as one that has no workers, waits for none, and needs no Valkey."""
    settings = loading.load(shape)
    alone = read_configuration(settings.model_copy(update={"workers": "none"}))
    assert read_configuration(settings) == alone | (
        {"instance_map": {}, "redis": {"enabled": False}} if settings.processes else {}
    )


def test_synapse_is_told_the_same_and_one_thing_more(shape: Path) -> None:
    """The command of a drill is that of the server, with one file behind."""
    server = read_compose(plan_shape(shape))["services"]["synapse"]["command"]
    assert read_drill(shape)["services"]["synapse"]["command"][:-2] == server


def test_a_reset_covers_whatever_the_server_has(shape: Path) -> None:
    """A service that is added to compose.yaml is part of a drill only if somebody wants it."""
    drill = read_drill(shape)
    removed = {name for name, service in drill["services"].items() if service is None}
    server = read_compose(plan_shape(shape))
    assert removed == set(server["services"]) - SERVICES
    assert set(drill["volumes"]) == set(server["volumes"])


def test_the_environment_is_complete_and_wholly_used(tmp_path: Path, shape: Path) -> None:
    """No variable of a drill is missing, none is wrong, and none is passed for nothing."""
    services = read_drill(shape)["services"]
    restore = read_environment(tmp_path, shape, "restore") | services["restore"]["environment"]
    watched = Watched(restore)
    settings = BackupSettings.from_environ(watched)
    assert watched.seen == set(watched.keys())
    assert settings.repository.read_only
    environment = {
        name: re.sub(rf"^{topology.SECRETS}/", f"{tmp_path}/secrets/", value)
        for name, value in services["drill"]["environment"].items()
    }
    watched = Watched(environment)
    assert DrillSettings.from_environ(watched).drill_file == settings.drill_file
    assert watched.seen == set(watched.keys())

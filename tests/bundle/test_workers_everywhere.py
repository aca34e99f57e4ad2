"""Laws of every settings file, were it to have workers: what counts on Synapse counts on its workers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from synapse_bundle import images, topology
from synapse_bundle.planning import Plan
from synapse_bundle.processes import PRESETS
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import UNITS
from tests.bundles import DrillLoader, plan_settings, read_compose
from tests.settings import SHAPES

OWN: Final = "synapse-bundle/"
WORKERS: Final = [preset for preset in PRESETS if preset != "none"]


@pytest.fixture(params=WORKERS)
def preset(request: pytest.FixtureRequest) -> str:
    """Each word of `workers` that starts some."""
    word: str = request.param
    return word


@pytest.fixture(params=SHAPES, ids=lambda path: path.stem)
def plan(request: pytest.FixtureRequest, preset: str) -> Plan:
    """Every supported shape in turn, with workers."""
    return plan_with_workers(request.param, preset)


@functools.cache
def plan_with_workers(shape: Path, preset: str) -> Plan:
    """Return the plan of a settings file, were it to have workers."""
    chosen = {"workers": preset, "memory": 4 * UNITS["G"]}
    return plan_settings(loading.load(shape).model_copy(update=chosen))


def read(plan: Plan, name: str) -> str:
    """Return the text of a file."""
    (file,) = (file for file in plan.files if str(file.path) == name)
    return file.content.decode()


def list_synapse(model: dict[str, Any]) -> set[str]:
    """Return the services that run Synapse's image."""
    image = images.read_pins()["synapse"].reference
    return {name for name, service in model["services"].items() if service["image"] == image}


def test_every_process_logs_in_as_the_role_that_a_move_shuts_out(plan: Plan, preset: str) -> None:
    """One role has all sessions: so its fence, and the count of its sessions, hold for workers too."""
    model = read_compose(plan)
    assert list_synapse(model) == {"synapse", *(process.name for process in PRESETS[preset])}
    secrets = yaml.safe_load(read(plan, "secrets/synapse.yaml"))
    assert secrets["database"]["args"]["user"] == topology.POSTGRES.role
    for name in list_synapse(model):
        # Read last, so that no file of a worker's own names another role.
        assert model["services"][name]["command"][-1] == f"{topology.SECRETS}/synapse.yaml"


def test_only_the_main_process_has_the_files_that_a_set_holds(plan: Plan) -> None:
    """What is restored or read beside the database has one writer, whoever answers."""
    services = read_compose(plan)["services"]
    writers = {
        name
        for name, service in services.items()
        for mount in service.get("volumes", ())
        if mount["source"] == "media" and not mount.get("read_only")
    }
    assert writers == {"synapse", "bootstrap", "restore"}


def test_a_copy_that_stands_down_asks_no_worker(plan: Plan) -> None:
    """It answers before any rule that passes a request on is read, where a copy may be told to."""
    text = read(plan, "apache/httpd.conf")
    assert ("claim" in read_compose(plan)["volumes"]) == (topology.APACHE.stood_down in text)
    assert text.find(topology.APACHE.stood_down) < text.index("[P,NE")


def test_check_knows_the_age_of_every_image(plan: Plan) -> None:
    """Every image that is not built here is one of the pins, Valkey's too."""
    services = read_compose(plan)["services"]
    used = {service["image"] for service in services.values()}
    pins = services["helper"]["environment"]["IMAGE_PINS"].split()
    others = {image for image in used if not image.startswith(OWN)}
    assert {pin.rpartition("=")[0] for pin in pins} == others


def test_a_drill_is_one_process_on_networks_of_its_own(plan: Plan, preset: str) -> None:
    """No worker, no Valkey, and no network whose addresses the running server has."""
    server = read_compose(plan)
    drill = yaml.load(read(plan, "drill.yaml"), Loader=DrillLoader)  # noqa: S506
    removed = {name for name, service in drill["services"].items() if service is None}
    assert {"valkey", *(process.name for process in PRESETS[preset])} <= removed
    fixed = {name for name, network in server["networks"].items() if network.get("ipam")}
    assert {name for name, network in drill["networks"].items() if network is None} == fixed
    started = set(server["services"]) - removed
    for name in started:
        joined = (drill["services"].get(name) or {}).get("networks")
        assert not set(joined or server["services"][name]["networks"]) & fixed, name
    waits_for = set(drill["services"]["synapse"]["depends_on"])
    assert waits_for <= started

"""A server moves from one machine into the cluster and out again, each time by a final set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.household import Household
from tests.helper.backup.object_storage import KEY_ID, ObjectStorage
from tests.lab.kubernetes.cluster_paths import HOST_ADDRESS
from tests.stack.accounts import Person, register
from tests.support.kubernetes import Cluster
from tests.support.stacks import Stack, generate
from tests.support.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.engine]

SECRET: Final = "secret of the object storage"
SETTINGS: Final = """\
server_name: mover.test
email: you@mover.test
certificates: own-authority
backup:
  repository: s3:http://{address}:{port}/bucket/sets
  credentials: s3_credentials
  at: "03:30"
  drill: none
"""
SYNAPSE: Final = "statefulset/synapse"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resident:
    """A user, and the room that has to come along."""

    person: Person
    room: str

    def read(self, number: int) -> list[str]:
        """Return the latest messages, the newest first."""
        return self.person.read(self.room)[:number]


@pytest.fixture(scope="module")
def storage(cluster: Cluster) -> Iterator[ObjectStorage]:
    """Object storage that both this machine's containers and the node's pods reach."""
    if not cluster.is_lab:
        pytest.skip("pods of a cluster elsewhere do not reach this machine's storage")
    with ObjectStorage(SECRET, HOST_ADDRESS) as found:
        found.create_bucket("bucket")
        yield found


@pytest.fixture(scope="module")
def machine(storage: ObjectStorage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The server on one machine."""
    folder = tmp_path_factory.mktemp("mover")
    keys = f"AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"
    (folder / "s3_credentials").write_text(keys)
    settings = SETTINGS.format(address=HOST_ADDRESS, port=storage.port)
    stack = generate(folder, "mover", settings)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def resident(machine: Stack) -> Resident:
    """Somebody who has said something on that machine."""
    person = register(machine)
    found = Resident(person=person, room=person.create_room())
    person.send(found.room, "on the machine")
    return found


@pytest.fixture(scope="module")
def moved(machine: Stack, resident: Resident, cluster: Cluster) -> Iterator[Household]:
    """The same server in the cluster, by the steps of docs/kubernetes.md."""
    home = Household(stack=machine, cluster=cluster.enter(machine.project))
    machine.compose("run", "--rm", "backup", "move")
    machine.down()
    home.convert()
    home.load()
    try:
        home.apply()
        home.cluster.kubectl("scale", SYNAPSE, "--replicas=0")
        restore(home)
        home.cluster.kubectl("scale", SYNAPSE, "--replicas=1")
        home.cluster.kubectl("delete", "pod", "--selector=app.kubernetes.io/name=helper")
        home.wait_ready()
        yield home
    finally:
        cluster.kubectl("delete", "namespace", machine.project, "--wait=false")


def restore(home: Household) -> None:
    """Run the Job that restores, which ends one way or the other."""
    home.apply("restore")

    def find_end() -> list[str]:
        status = home.cluster.get("job/restore")["status"]
        return [each["type"] for each in status.get("conditions", []) if each["status"] == "True"]

    wait_for(find_end, "the restore ends", PATIENCE)
    log = home.cluster.try_kubectl("logs", "job/restore").stdout
    assert find_end() == ["Complete"], log


def test_move_into_the_cluster(moved: Household, resident: Resident) -> None:
    """The same session reads what was said on the machine, and says more."""
    assert moved.check() == []
    with moved.forward():
        assert resident.read(1) == ["on the machine"]
        resident.person.send(resident.room, "in the cluster")


def test_move_out_of_the_cluster(
    moved: Household, machine: Stack, resident: Resident, tmp_path: Path
) -> None:
    """The final set of the cluster is restored on a machine, with all that was said in between."""
    done = moved.cluster.try_kubectl(
        "exec", "deployment/backup", "--", "bundle-helper", "backup", "move"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    moved.cluster.kubectl("delete", "namespace", machine.project, "--wait=false")
    machine.compose("run", "--rm", "restore")
    machine.up()
    assert machine.check().returncode == 0
    assert resident.read(2) == ["in the cluster", "on the machine"]

"""A bundle lives in a cluster: it starts from nothing, is rolled out, loses pods, and renews."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.household import (
    DIRECTLY,
    DOCUMENT,
    EDGE,
    WORKERS,
    Household,
)
from tests.routing.apache_rules import PoolChoice, choose_pool, read_choices
from tests.stack.accounts import Person, register
from tests.support.matrix import CLIENT
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.engine]


def test_check_is_green_from_empty_volumes(household: Household) -> None:
    """The bundle's own check holds in the helper's pod, and two Apaches stand behind one Service."""
    assert household.check() == []
    assert len(household.list_pods(EDGE)) == 2


def test_second_apply_changes_nothing(household: Household) -> None:
    """Converted and applied again, every object is as it was."""
    household.convert()
    said = household.apply().splitlines()
    assert len(said) > 20
    assert [line for line in said if not line.endswith(" unchanged")] == []


def test_edge_rolls_without_a_failed_request(household: Household) -> None:
    """Requests go on while each Apache and its tunnel are replaced, and none fails."""
    before = {pod["metadata"]["uid"] for pod in household.list_pods(EDGE)}
    loads = household.roll(EDGE, WORKERS, DOCUMENT)
    assert not before & {pod["metadata"]["uid"] for pod in household.list_pods(EDGE)}
    for load in loads.values():
        assert load.failures == []
        assert load.asked > 20


def test_both_apaches_serve_a_new_certificate(household: Household) -> None:
    """What the helper publishes reaches every Apache by the Secret, without a restart."""
    restarts = {pod["metadata"]["uid"] for pod in household.list_pods(EDGE)}
    (old,) = set(household.read_served().values())
    household.renew()

    def is_served() -> bool:
        served = list(household.read_served().values())
        return len(served) == 2 and len(set(served)) == 1 and old not in served

    wait_for(is_served, "both Apaches serve the new certificate")
    assert restarts == {pod["metadata"]["uid"] for pod in household.list_pods(EDGE)}
    assert household.apply().count("secret/published unchanged") == 1
    assert old not in household.read_served().values()


def test_killed_pods_come_back_with_their_data(household: Household) -> None:
    """Without warning Synapse and PostgreSQL lose their pods; every message is still there."""
    with household.forward():
        person = register(household.stack)
        room = person.create_room()
        person.send(room, "before")
    household.kill("synapse-0")
    household.kill("postgres-0")
    household.wait_ready()
    with household.forward():
        person.send(room, "after")
        assert person.read(room)[:2] == ["after", "before"]
    assert household.check() == []


def test_synapse_waits_on_the_data_of_another_folder(household: Household) -> None:
    """Its pod says why, and goes on as soon as the bootstrap has proved the data for this folder."""
    words = f"COMMENT ON DATABASE synapse IS '[synapse-bundle folder {'0' * 64}]'"
    script = 'PGPASSWORD=$(cat /run/secrets/postgres_password) exec psql -U postgres -c "$1"'
    household.cluster.kubectl("exec", "postgres-0", "--", "sh", "-c", script, "sh", words)
    household.kill("synapse-0")
    wait_for(
        lambda: (
            "the data of another folder is in it"
            in household.cluster.try_kubectl("logs", "synapse-0", "-c", "wait-database").stdout
        ),
        "Synapse's pod says what it waits for",
    )
    household.cluster.kubectl("delete", "pod", "--selector=app.kubernetes.io/name=helper")
    household.wait_ready()
    assert household.check() == []


@pytest.fixture(scope="module")
def workers(household: Household) -> set[str]:
    """The workloads of many processes: one setting, one apply."""
    return household.set_workers("spread")


def test_workers_join(household: Household, workers: set[str]) -> None:
    """From one process to many; the check proves each of them."""
    assert len(workers) > 3
    assert household.check() == []
    with household.forward():
        person = register(household.stack)
        room = person.create_room()
        person.send(room, "through a worker")
        assert person.read(room)[0] == "through a worker"


def test_the_main_process_rolls(household: Household, workers: set[str]) -> None:
    """Meanwhile the workers answer what is theirs, and afterwards it answers again."""
    assert workers
    loads = household.roll("statefulset/synapse", WORKERS, DIRECTLY)
    assert loads[DIRECTLY].failures, "it was not replaced"
    assert loads[WORKERS].gap < loads[DIRECTLY].gap, loads
    wait_for(lambda: household.check() == [], "the check is green")


def test_a_worker_rolls_without_a_failed_request(household: Household, workers: set[str]) -> None:
    """It answers what it has been asked, a long poll as well; then the main process does in its place."""
    worker = "synapse-client-1"
    assert f"statefulset.apps/{worker}" in workers
    choices = read_choices((household.stack.directory / "apache" / "httpd.conf").read_text())
    with household.forward(), ThreadPoolExecutor() as pool:
        people = (register(household.stack) for _ in itertools.count())
        person = next(each for each in people if choose(choices, each) == worker)
        since = person.call("GET", "/sync")["next_batch"]
        with household.keep_asking(WORKERS) as loads:
            poll = pool.submit(person.call, "GET", f"/sync?since={since}&timeout=3000")
            household.replace(f"statefulset/{worker}")
        assert poll.result()["next_batch"]
    assert loads[WORKERS].failures == []
    assert loads[WORKERS].asked > 20


def choose(choices: list[PoolChoice], person: Person) -> str:
    """Return which process a person's long polls go to."""
    return choose_pool(choices, "GET", f"{CLIENT}/sync", authorization=f"Bearer {person.token}")

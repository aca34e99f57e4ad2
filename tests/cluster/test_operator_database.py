"""A bundle whose PostgreSQL an operator runs: a Cluster of CloudNativePG's, by TLS with the operator's own root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import trustme

from tests.cluster.household import Household
from tests.cluster.operator_double import (
    ask_instance,
    define_kind,
    is_double,
    read_root,
    run_instance,
    write_root,
)
from tests.stack.accounts import register
from tests.support.kubernetes import Cluster
from tests.support.stacks import generate
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.engine]

SETTINGS: Final = """\
server_name: operated.test
email: you@operated.test
certificates: own-authority
kubernetes: {database: cloudnative-pg}
"""
DATABASE: Final = "database"


@pytest.fixture(scope="module")
def household(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """Applied before its database exists, as one `kubectl apply` does; then an operator makes that."""
    stack = generate(tmp_path_factory.mktemp("operated"), "operated", SETTINGS)
    home = Household(stack=stack, cluster=cluster.enter(stack.project))
    stack.build()
    home.convert()
    home.load()
    with define_kind(cluster) as operated:
        try:
            home.apply()
            if not operated:
                run_instance(home.cluster, DATABASE)
            home.wait_ready()
            yield home
        finally:
            cluster.kubectl("delete", "namespace", stack.project, "--wait=false")


def test_check_is_green_and_tells_how_the_database_is_reached(household: Household) -> None:
    done = household.ask_helper("bundle-helper", "check", "--json", "--inside")
    rows: list[Any] = json.loads(done.stdout)["checks"]
    assert [row for row in rows if not row["ok"]] == []
    (proof,) = (row["detail"] for row in rows if row["name"] == "database role, locale and owner")
    assert "reached with sslmode verify-full" in proof


def test_a_message_is_kept_in_it_by_tls_alone(household: Household) -> None:
    """Every connection of Synapse's is encrypted, and the message is in that database."""
    with household.forward():
        person = register(household.stack)
        room = person.create_room()
        event = person.send(room, "kept by an operator")
        wait_for(lambda: "kept by an operator" in person.read(room), "it is read")
    kept = "SELECT event_id FROM events WHERE type = 'm.room.message'"
    assert ask_instance(household.cluster, DATABASE, kept) == event
    encrypted = (
        "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
        " WHERE usename = 'synapse_user'"
    )
    assert ask_instance(household.cluster, DATABASE, encrypted) == "t"


def test_an_impostor_gets_no_password(household: Household) -> None:
    """While the root is not the one of the database, Synapse's pod waits, says why, and goes on by itself."""
    cluster = household.cluster
    if not is_double(cluster, DATABASE):
        pytest.skip("an operator would put its own root back")
    right = read_root(cluster, DATABASE)
    write_root(cluster, DATABASE, trustme.CA().cert_pem.bytes())
    household.kill("synapse-0")
    try:
        wait_for(
            lambda: (
                "certificate verify failed"
                in cluster.try_kubectl("logs", "synapse-0", "-c", "wait-database").stdout
            ),
            "Synapse's pod says what it waits for",
        )
    finally:
        write_root(cluster, DATABASE, right)
    household.wait_ready()
    wait_for(lambda: household.check() == [], "the check is green")

"""Two bundles on one host: they share nothing, and federate like any two servers."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from signedjson.key import decode_signing_key_base64
from signedjson.sign import sign_json

from tests.stack.accounts import Person, register
from tests.stack.neighbors import NEIGHBORS_ROOT
from tests.support.engine import docker, try_docker
from tests.support.matrix import escape
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

# A name that leads to beta's Apache and that its certificate does not carry.
IMPOSTOR: Final = "gamma.test"


@pytest.fixture(scope="module")
def road(domain: Stack, neighbor: Stack) -> Iterator[str]:
    """A network in place of the internet, where both Apaches have their names.

    The containers join it one by one: as a network of Compose it would bring the service names
    along, and each bundle's Apache would find two containers by the name of `synapse`.
    """
    network = f"test-road-{os.getpid()}"
    docker("network", "create", network)
    try:
        join(network, domain)
        join(network, neighbor, IMPOSTOR)
        yield network
    finally:
        for container in list_joined(network):
            try_docker("network", "disconnect", "--force", network, container)
        try_docker("network", "rm", network)


def join(network: str, stack: Stack, *extra: str) -> None:
    """Connect what is not yet in a network; there Apache has the server's names, and some more."""
    names = [stack.server_name, stack.homeserver, *extra]
    aliases = [option for name in names for option in ("--alias", name)]
    for service, options in (("apache", aliases), ("synapse", []), ("helper", [])):
        container = stack.container(service)
        if container not in list_joined(network):
            docker("network", "connect", *options, network, container)


def list_joined(network: str) -> list[str]:
    """Return the ids of the containers in a network."""
    form = "{{range $id, $_ := .Containers}}{{$id}} {{end}}"
    return docker("network", "inspect", "--format", form, network).split()


@pytest.fixture(scope="module")
def alice(domain: Stack) -> Person:
    """A user on alpha."""
    return register(domain, f"alice-{os.getpid()}")


@pytest.fixture(scope="module")
def bob(neighbor: Stack) -> Person:
    """A user on beta, whose name holds a slash: every path that names him needs %2F."""
    return register(neighbor, f"bob/by-{os.getpid()}")


@pytest.fixture(scope="module")
def room(road: str, alice: Person, bob: Person) -> str:
    """A room of alpha that a user of beta joined by an alias with a slash."""
    name = f"across/the//road-{os.getpid()}"
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    alias = f"#{name}:{alice.stack.server_name}"
    assert bob.call("POST", f"/join/{escape(alias)}")["room_id"] == room
    return room


def test_two_bundles_on_one_host_share_nothing(domain: Stack, neighbor: Stack) -> None:
    """Containers, volumes and networks carry the project's name, and no address is used twice."""
    owned = [list_owned(stack) for stack in (domain, neighbor)]
    assert min(map(len, owned)) >= 12
    assert owned[0] & owned[1] == set()
    for stack, names in zip((domain, neighbor), owned, strict=True):
        assert {name for name in names if not name.startswith(stack.project)} == set()
    # A checkout of each would still be two projects, with keys of their own.
    assert domain.secret("signing.key") != neighbor.secret("signing.key")
    assert read_key_names(domain) & read_key_names(neighbor) == set()


def list_owned(stack: Stack) -> set[str]:
    """Return the names of everything that the engine holds for a project."""
    project = ["--filter", f"label=com.docker.compose.project={stack.project}"]
    listings = (
        ["ps", "--all", "--format", "{{.Names}}"],
        ["volume", "ls", "--format", "{{.Name}}"],
        ["network", "ls", "--format", "{{.Name}}"],
    )
    return {name for listing in listings for name in docker(*listing, *project).split()}


def read_key_names(stack: Stack) -> set[str]:
    """Return the names of the keys that a server signs with."""
    document = stack.ask("GET", "/_matrix/key/v2/server").json
    assert document["server_name"] == stack.server_name
    return set(document["verify_keys"])


def test_messages_cross_in_both_directions(alice: Person, bob: Person, room: str) -> None:
    """What one side says in a shared room is read on the other side, there and back."""
    alice.send(room, "hello, beta")
    wait_for(lambda: "hello, beta" in bob.read(room), "beta has alpha's message", patience=60)
    bob.send(room, "hello, alpha")
    wait_for(lambda: "hello, alpha" in alice.read(room), "alpha has beta's message", patience=60)


def test_a_profile_crosses(alice: Person, bob: Person, room: str) -> None:
    """A server looks up a name on the other, although strangers may not."""
    bob.call("PUT", f"/profile/{escape(bob.user_id)}/displayname", {"displayname": "Bob"})
    # Not what the shared room brought along: the question goes to the other server.
    asked = alice.call("GET", f"/profile/{escape(bob.user_id)}")
    assert asked["displayname"] == "Bob"
    path = f"/_matrix/client/v3/profile/{escape(bob.user_id)}"
    assert bob.stack.ask("GET", path).status == 401


def test_a_file_crosses(alice: Person, bob: Person, room: str) -> None:
    """A file of one server is fetched through the other, byte for byte."""
    data = os.urandom(1_000_000)
    uri = alice.upload(data).json["content_uri"]
    assert bob.download(uri).body == data


def test_servers_find_each_other_by_delegation(domain: Stack, neighbor: Stack, room: str) -> None:
    """Each server learned of port 443 from the other's well-known document, and used it.

    Nothing listens on 8448, the port of a server name without delegation.
    """
    joining, sending = "/_matrix/federation/v1/make_join/", "/_matrix/federation/v1/send/"
    for here, there, request in ((neighbor, domain, joining), (domain, neighbor, sending)):
        learned = f"Response from .well-known: {{'m.server': '{there.homeserver}:443'}}"
        asked = f"matrix-federation://{there.server_name}{request}"
        wait_for(
            functools.partial(has_logged, here, (learned,), ("Completed request: 200", asked)),
            f"{here.server_name} learned the address and went there",
            patience=60,
        )
        assert not is_open(here, there.server_name, 8448)
        assert is_open(here, there.server_name, 443)


def has_logged(stack: Stack, *wanted: tuple[str, ...]) -> bool:
    """Return whether Synapse logged, for each wanted, a line with all its parts."""
    lines = stack.compose("logs", "--no-color", "synapse").stdout.splitlines()
    return all(any(all(part in line for part in parts) for line in lines) for parts in wanted)


def is_open(stack: Stack, host: str, port: int) -> bool:
    """Return whether a host accepts connections from Synapse on a port."""
    code = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)"
    command = ["exec", "--no-TTY", "synapse", "python3", "-c", code, host, str(port)]
    done = stack.compose(*command, check=False)
    assert done.returncode == 0 or "ConnectionRefusedError" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_server_comes_in_by_the_tunnel(domain: Stack, neighbor: Stack, room: str) -> None:
    """What a neighbor's key signs is accepted through the tunnel, whatever its path.

    A changed path is not: Cloudflare, Apache and Synapse must keep every byte.
    """
    alias = f"#across/the//road-{os.getpid()}:{domain.server_name}"
    path = f"/_matrix/federation/v1/query/directory?room_alias={escape(alias)}"
    headers = sign(neighbor, domain, path)
    answer = domain.ask_through_tunnel("GET", path, headers=headers)
    assert answer.status == 200, answer.body
    assert answer.json["room_id"] == room
    assert domain.ask_through_tunnel("GET", path.replace("%2F", "/"), headers=headers).status == 401


def sign(origin: Stack, destination: Stack, path: str, key_line: str = "") -> dict[str, str]:
    """Return the header that authenticates a server's request (Matrix, request authentication).

    It is signed with the origin's key, or with that of another line.
    """
    algorithm, version, seed = (key_line or origin.secret("signing.key")).split()
    key = decode_signing_key_base64(algorithm, version, seed)
    names = {"origin": origin.server_name, "destination": destination.server_name}
    signed = sign_json({"method": "GET", "uri": path, **names}, origin.server_name, key)
    ((name, signature),) = signed["signatures"][origin.server_name].items()
    parts = {**names, "key": name, "sig": signature}
    return {"Authorization": "X-Matrix " + ",".join(f'{k}="{v}"' for k, v in parts.items())}


def test_a_server_without_the_right_certificate_is_not_trusted(
    neighbor: Stack, alice: Person, room: str
) -> None:
    """No request goes to a server whose certificate is for another name."""
    answer = alice.ask("GET", f"/directory/room/{escape(f'#across:{IMPOSTOR}')}")
    assert answer.status in {404, 502, 504}
    log = alice.stack.compose("logs", "--no-color", "synapse").stdout
    assert any(IMPOSTOR in line and "VerificationError" in line for line in log.splitlines())


def prove(stack: Stack, name: str, *options: str) -> tuple[int, Any]:
    """Return the exit code and the report of the helper's proof of a server name."""
    done = stack.ask_helper("check", "federation", name, "--json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("there", [True, False], ids=["there", "and back"])
def test_each_bundle_proves_the_other(
    domain: Stack, neighbor: Stack, road: str, *, there: bool
) -> None:
    """The proof finds the other by well-known, trusts its certificate and verifies its keys."""
    stack, other = (domain, neighbor) if there else (neighbor, domain)
    code, report = prove(stack, other.server_name, "--root", NEIGHBORS_ROOT)
    assert (code, report["FederationOK"]) == (0, True), report
    assert report["WellKnownResult"]["m.server"] == f"{other.homeserver}:443"
    assert report["Version"]["name"] == "Synapse"
    (one,) = report["ConnectionReports"].values()
    assert one["Checks"]["AllChecksOK"] is True
    assert set(one["Ed25519VerifyKeys"]) == read_key_names(other)
    assert one["Info"] == {"TrustedBy": NEIGHBORS_ROOT}


def test_a_bundle_proves_itself_by_its_own_authority(domain: Stack, road: str) -> None:
    """A bundle that is reached without Cloudflare trusts its own name by its own roots."""
    code, report = prove(domain, domain.server_name)
    assert (code, report["FederationOK"]) == (0, True), report
    (one,) = report["ConnectionReports"].values()
    assert one["Info"] == {"TrustedBy": "this bundle's own roots"}


def test_a_private_authority_is_not_trusted_by_default(
    domain: Stack, neighbor: Stack, road: str
) -> None:
    """Without its root the neighbor is not trusted, and the report says why."""
    code, report = prove(domain, neighbor.server_name)
    assert (code, report["FederationOK"]) == (1, False)
    assert "does not lead to a known root" in report["WellKnownResult"]["result"]


def test_an_impostor_is_named(domain: Stack, road: str) -> None:
    """A name that leads to a server whose certificate is for others fails for that reason."""
    code, report = prove(domain, IMPOSTOR, "--root", NEIGHBORS_ROOT)
    assert (code, report["FederationOK"]) == (1, False)
    assert f"the certificate of {IMPOSTOR} at " in report["WellKnownResult"]["result"]
    assert report["WellKnownResult"]["result"].endswith(" is for another name")


def test_others_go_on_verifying_what_an_old_signing_key_signed(
    domain: Stack, neighbor: Stack, road: str, alice: Person, bob: Person
) -> None:
    """A server that never saw the old key takes over what it signed, and refuses it from then on."""
    old, name = domain.secret("signing.key"), f"before-{os.getpid()}"
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    alice.send(room, "signed with the old key")
    path = f"/_matrix/federation/v1/query/profile?user_id={escape(bob.user_id)}"
    assert neighbor.ask("GET", path, headers=sign(domain, neighbor, path, old)).status == 200
    # Without running containers the old key expires at once.
    domain.compose("stop")
    assert "only files change" in domain.rotate("signing.key")
    domain.up()
    join(road, domain)
    forget_keys(neighbor, domain.server_name)
    alias = f"#{name}:{domain.server_name}"
    assert bob.call("POST", f"/join/{escape(alias)}")["room_id"] == room
    wait_for(
        lambda: "signed with the old key" in bob.read(room), "beta has what was said", patience=60
    )
    alice.send(room, "signed with the new key")
    wait_for(
        lambda: "signed with the new key" in bob.read(room), "beta has what is said", patience=60
    )
    assert neighbor.ask("GET", path, headers=sign(domain, neighbor, path)).status == 200
    assert neighbor.ask("GET", path, headers=sign(domain, neighbor, path, old)).status == 401


def forget_keys(stack: Stack, server_name: str) -> None:
    """Let a server forget the keys of another, and that it was away, as if it had never met it."""
    deletions = "; ".join(
        f"DELETE FROM {table} WHERE server_name = '{server_name}'"  # noqa: S608
        for table in ("server_keys_json", "server_signature_keys")
    )
    deletions += (
        "; UPDATE destinations SET retry_last_ts = 0, retry_interval = 0, failure_ts = NULL"
    )
    script = (
        "PGPASSWORD=$(cat /run/secrets/postgres_password)"
        f' psql --username=postgres --dbname=synapse --command="{deletions}"'
    )
    stack.compose("stop", "synapse")
    deleted = stack.compose("exec", "--no-TTY", "postgres", "sh", "-c", script)
    assert "DELETE" in deleted.stdout
    stack.compose("start", "synapse")
    stack.wait_healthy("synapse")

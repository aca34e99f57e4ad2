"""A running server whose secrets are rotated: the old values are refused, and nobody is signed out."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from synapse_bundle import topology
from synapse_bundle.rotation.rotatable import ROTATABLE
from tests.stack.accounts import Person, register, try_to_register
from tests.stack.lifetime import keep
from tests.support.http import Answer, ask, connect_tls
from tests.support.matrix import LOGIN, VERSIONS, build_login
from tests.support.stacks import REPOSITORY, Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

UNSUBSCRIBE: Final = "/_synapse/client/unsubscribe"
# A link as Synapse would write it into an e-mail, signed with the key on standard input.
FORGE: Final = """
import sys
from synapse.util.clock import Clock
from synapse.util.macaroons import MacaroonGenerator
key = sys.stdin.readline().strip().encode()
print(MacaroonGenerator(None, sys.argv[1], key).generate_delete_pusher_token(sys.argv[2], "app", "key"))
"""
# What the listener of the main process answers to a worker that shows the secret on standard input.
REPLICATE: Final = """
import sys, urllib.error, urllib.request
secret = sys.stdin.readline().strip()
request = urllib.request.Request(sys.argv[1], headers={"Authorization": f"Bearer {secret}"})
try:
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with a worker and a set, so that it has every secret."""
    stack = generate(tmp_path_factory.mktemp("rotating"), "rotating", "workers: federation\n")
    for made in keep(stack):
        made.compose("run", "--rm", "--no-TTY", "backup", "now")
        yield made


def ask_inside(server: Stack, given: str, *command: str) -> str:
    """Run a command of Compose with a secret as its standard input; return what it printed."""
    done = subprocess.run(
        ["docker", "compose", *command],
        cwd=server.directory,
        input=f"{given}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def opens_database(server: Stack, role: str, password: str) -> bool:
    """Return whether PostgreSQL lets a role in with a password, over the network."""
    script = (
        f"read -r PGPASSWORD; export PGPASSWORD; psql -h 127.0.0.1 -U {role} -d postgres -c '\\q'"
    )
    said = ask_inside(server, password, "exec", "--no-TTY", "postgres", "sh", "-c", script)
    refused = "password authentication failed" in said
    # Without the privilege to connect the password was right.
    assert refused or not said or "permission denied for database" in said, said
    return not refused


def opens_backups(server: Stack, password: str) -> bool:
    """Return whether the repository opens with a password."""
    place = topology.BACKUP.repository
    options = ["run", "--rm", "--no-TTY", "--no-deps", "--entrypoint", "restic", "backup"]
    command = ["--repo", place, "--no-lock", "--no-cache", "--password-file", "/dev/stdin"]
    said = ask_inside(server, password, *options, *command, "cat", "config")
    assert "chunker_polynomial" in said or "wrong password" in said, said
    return "chunker_polynomial" in said


def opens_valkey(server: Stack, password: str) -> bool:
    """Return whether Valkey lets a client in with a password."""
    script = 'read -r secret; printf "AUTH %s\\n" "$secret" | valkey-cli'
    said = ask_inside(server, password, "exec", "--no-TTY", "valkey", "sh", "-c", script)
    assert said.startswith(("OK", "WRONGPASS")), said
    return said.startswith("OK")


def opens_replication(server: Stack, secret: str) -> bool:
    """Return whether the main process believes a worker that shows a secret."""
    target = f"http://{read_main(server)}:{topology.SYNAPSE.replication_port}"
    # What a worker that lost the bus asks for.
    target += "/_synapse/replication/get_repl_stream_updates/events/once?from_token=1&upto_token=1"
    options = ["exec", "--no-TTY", "synapse", "python3", "-c", REPLICATE]
    said = ask_inside(server, secret, *options, target)
    # To a wrong secret, too, Synapse has no answer of its own.
    assert said in {"200", "500"}, said
    return said == "200"


def read_main(server: Stack) -> str:
    """Return the address on which the main process listens for its workers."""
    text = (server.directory / "synapse" / "homeserver.yaml").read_text()
    found = re.search(r'main: \{host: "([0-9.]+)"', text)
    assert found
    return found[1]


def opens_registration(server: Stack, secret: str) -> bool:
    """Return whether an account can be made with the registration secret."""
    answer = try_to_register(server, f"made-{os.urandom(4).hex()}", secret)
    assert answer.status in {200, 403}, answer.body
    return answer.status == 200


def opens_links(server: Stack, key: str, person: Person) -> bool:
    """Return whether Synapse believes a link that was signed with a macaroon key."""
    options = ["exec", "--no-TTY", "synapse", "python3", "-c", FORGE]
    token = ask_inside(server, key, *options, server.server_name, person.user_id)
    assert token.startswith("MDA"), token
    answer = server.ask("GET", f"{UNSUBSCRIBE}?access_token={token}&app_id=app&pushkey=key")
    # To a signature that is wrong Synapse has no answer of its own.
    assert answer.status in {200, 500}, answer.body
    return answer.status == 200


def sign_in(server: Stack, password: str) -> Answer:
    """Sign in as the first administrator."""
    return server.ask("POST", LOGIN, body=build_login(server.admin, password))


def serves(server: Stack, trust: ssl.SSLContext) -> bool:
    """Return whether a device with this trust reaches the server."""
    try:
        connection = connect_tls(server.https_port, server.homeserver, trust)
        return ask(connection, "GET", VERSIONS).status == 200
    except ssl.SSLCertVerificationError:
        return False


def try_all(
    server: Stack, values: dict[str, str], trust: ssl.SSLContext, person: Person
) -> dict[str, bool]:
    """Return for each secret whether a value, and what was issued with it, is accepted."""
    running = ask_inside(
        server, "", "exec", "--no-TTY", "synapse", "cat", f"{topology.SECRETS}/synapse.yaml"
    )
    keys = server.ask_synapse("GET", "/_matrix/key/v2/server").json["verify_keys"]
    return {
        "postgres_password": opens_database(server, "postgres", values["postgres_password"]),
        "synapse_database_password": opens_database(
            server, topology.POSTGRES.role, values["synapse_database_password"]
        ),
        "registration_shared_secret": opens_registration(
            server, values["registration_shared_secret"]
        ),
        "macaroon_secret_key": opens_links(server, values["macaroon_secret_key"], person),
        # Nothing that a bundle turns on uses it: what counts is what the process was given.
        "form_secret": values["form_secret"] in running,
        "worker_replication_secret": opens_replication(server, values["worker_replication_secret"]),
        "valkey_password": opens_valkey(server, values["valkey_password"]),
        "admin_password": sign_in(server, values["admin_password"]).status == 200,
        "backup_password": opens_backups(server, values["backup_password"]),
        "signing.key": f"ed25519:{values['signing.key'].split()[1]}" in keys,
        "authority.key": serves(server, trust),
    }


def read_values(server: Stack) -> dict[str, str]:
    """Return the present value of every secret that can be rotated."""
    return {name: server.secret(name) for name in ROTATABLE}


def find_failures(server: Stack) -> list[Any]:
    """Return the rows of the bundle's own check that are not green."""
    return [row for row in json.loads(server.check().stdout)["checks"] if not row["ok"]]


def test_every_secret_is_replaced_and_every_old_value_refused(server: Stack) -> None:
    """All in one command with one restart: a session goes on, and only the administrator's ends."""
    person, old, trust = register(server, "before"), read_values(server), server.trust()
    administrator = sign_in(server, old["admin_password"]).json["access_token"]
    assert try_all(server, old, trust, person) == dict.fromkeys(ROTATABLE, True)
    said = server.rotate(*ROTATABLE)
    new = read_values(server)
    assert not any(value in said for value in (*old.values(), *new.values()))
    assert [name for name in ROTATABLE if old[name] == new[name]] == []
    wait_for(lambda: serves(server, server.trust()), "Apache has the new authority's certificate")
    assert try_all(server, old, trust, person) == dict.fromkeys(ROTATABLE, False)
    assert try_all(server, new, server.trust(), person) == dict.fromkeys(ROTATABLE, True)
    assert person.call("GET", "/account/whoami")["user_id"] == person.user_id
    ended = Person(stack=server, user_id="", token=administrator)
    assert ended.ask("GET", "/account/whoami").status == 401
    assert find_failures(server) == []
    # With the new password, and under the new signing key, the set from before is still a good one.
    drill = server.compose("run", "--rm", "--no-TTY", "backup", "drill")
    assert "can be restored" in drill.stdout + drill.stderr


def test_a_rotation_of_the_database_password_survives_a_kill_at_each_step(server: Stack) -> None:
    """Whenever it is killed the server goes on, and what is finished later has one new password."""
    person, name = register(server, "through"), "synapse_database_password"
    role, old = topology.POSTGRES.role, server.secret(name)
    found = set()
    # Before the journal, before the files, before the restart, and before the journal is deleted.
    for step in range(4):
        assert cut_off(server, step, name) == -signal.SIGKILL
        present = server.secret(name)
        found.add(present)
        assert person.create_room()
        assert (present == old) == (step < 2)
        assert opens_database(server, role, old) == (step < 3)
    server.rotate(name)
    assert found == {old, server.secret(name)}
    assert opens_database(server, role, server.secret(name))
    assert person.create_room()
    assert not (server.directory / "secrets" / ".rotation.json").exists()


def cut_off(server: Stack, step: int, name: str) -> int:
    """Rotate a secret up to a step; return how the command ended."""
    request = {
        "arguments": ["rotate", name, "--yes", "--settings", str(server.settings)],
        "output": str(server.directory),
        "step": step,
    }
    code = (
        "import json, sys; from tests.generator import runs; from synapse_bundle import cli;"
        " r = json.loads(sys.argv[1]); runs.cut_off(r['step']);"
        " cli.main([*r['arguments'], '--output', r['output']])"
    )
    command = [sys.executable, "-c", code, json.dumps(request)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode

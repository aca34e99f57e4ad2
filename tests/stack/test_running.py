"""What docs/running.md says to type works as it is written there, on a running server."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.settings import DIRECTORY
from tests.stack.accounts import Person
from tests.stack.lifetime import keep
from tests.support.http import Answer
from tests.support.matrix import LOGIN, build_login
from tests.support.pages import list_headings, read_block
from tests.support.processes import run
from tests.support.stacks import REPOSITORY, Stack, generate

pytestmark = pytest.mark.engine

# A list in a file, and the key that signed it.
UPDATES: Final = f"""\
updates:
  list: {DIRECTORY}/releases.signed
  key: {DIRECTORY}/release_keys.pem
"""
PAGE: Final = "running.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server of its own: its secrets change."""
    yield from keep(generate(tmp_path_factory.mktemp("running"), "running", UPDATES))


@pytest.fixture(scope="module")
def environment(server: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `make -C .. generate` writes this server's bundle."""
    place = tmp_path_factory.mktemp("bin")
    options = f"--settings {server.settings} --output {server.directory}"
    (place / "make").write_text(
        f'#!/bin/sh\n[ "$*" = "-C .. generate" ] || exit 64\n'
        f"exec {sys.executable} -m synapse_bundle generate {options}\n"
    )
    (place / "make").chmod(0o755)
    paths = {"PATH": f"{place}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY / "generator")}
    return {**os.environ, **paths}


def type_in(server: Stack, environment: dict[str, str], command: str) -> str:
    """Type one command in the bundle, as the page has it, and return what it prints."""
    return run(["bash", "-c", command], cwd=server.directory, environment=environment).stdout


def sign_in(server: Stack, user: str, password: str) -> Answer:
    """Sign in through Apache."""
    return server.ask("POST", LOGIN, body=build_login(user, password))


def open_session(server: Stack, user: str, password: str) -> Person:
    """Sign in with a password that must hold."""
    answer = sign_in(server, user, password)
    assert answer.status == 200, answer.body
    session = answer.json
    return Person(stack=server, user_id=session["user_id"], token=session["access_token"])


def test_users_are_added_and_let_in_again(server: Stack, environment: dict[str, str]) -> None:
    """An added person signs in; with a new password the old one and its sessions end."""
    anna, ben = read_block(PAGE, "Another user")
    first = type_in(server, environment, anna).strip()
    session = open_session(server, "anna", first)
    # No unused session: neither from the registration nor from the first start.
    assert len(session.call("GET", "/devices")["devices"]) == 1
    admin = open_session(server, "ben", type_in(server, environment, ben).strip())
    path = "/_synapse/admin/v1/server_version"
    users = f"/_synapse/admin/v1/users/{session.user_id}/admin"
    assert server.ask_synapse("GET", path).status == 200
    assert server.ask_synapse("GET", users, token=session.token).status == 403
    assert server.ask_synapse("GET", users, token=admin.token).status == 200
    forgotten, *rest = read_block(PAGE, "A forgotten password")
    second = type_in(server, environment, forgotten).strip()
    assert session.ask("GET", "/account/whoami").status == 401
    assert sign_in(server, "anna", first).status == 403
    open_session(server, "anna", second)
    for command in rest:
        type_in(server, environment, command)
    server.wait_healthy()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["add", "admin"], "exists already"),
        (["add", "Not a name"], "is not a user name"),
        (["password", "anna", "--initial"], "is the password of admin"),
        (["password", "nobody"], "the account @nobody:localhost"),
    ],
)
def test_a_mistake_is_explained_in_a_sentence(
    server: Stack, command: list[str], words: str
) -> None:
    """The message says what is wrong; there is no traceback and no password."""
    done = server.ask_helper("user", *command)
    assert done.returncode == 1
    assert words in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_the_versions_that_run_are_compared_with_the_list(server: Stack) -> None:
    """The helper asks the real services, judges by the list in the bundle, and shows both."""
    done = server.ask_helper("python3", "-m", "bundle_helper.service", "updates")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = server.ask_helper("updates", "--json")
    rows = {row["name"]: row for row in json.loads(shown.stdout)["checks"]}
    answer = server.ask_synapse("GET", "/_matrix/federation/v1/version")
    assert f"Synapse {answer.json['server']['version']}: nothing" in rows["Synapse"]["detail"]
    assert rows["list of releases"]["detail"].startswith("list 1 of ")
    for name in ("PostgreSQL", "Debian in the helper's image", "Debian in Apache's image"):
        assert re.search(r" [0-9.-]+: the list does not have it", rows[name]["detail"]), rows[name]
    assert shown.returncode == 0


@pytest.mark.parametrize("heading", ["Where the disk goes", "Once a month"])
def test_every_other_command_works(
    server: Stack, environment: dict[str, str], heading: str
) -> None:
    """Commands that only read print something and succeed; a search may find nothing."""
    commands = read_block(PAGE, heading)
    assert len(commands) >= 3
    for command in commands:
        assert type_in(server, environment, command) or "grep" in command


def test_every_section_is_typed() -> None:
    """No section of the page is left out above."""
    assert read_block(PAGE, "Watching it") == read_block(PAGE, "A leaked key or token") == []
    assert set(list_headings(PAGE)) == {
        "Another user",
        "A forgotten password",
        "A leaked key or token",
        "Watching it",
        "Where the disk goes",
        "Once a month",
    }

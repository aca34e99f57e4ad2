"""What users do with a running bundle, in both shapes."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from nio import LoginResponse, RoomCreateResponse, RoomMessageText, RoomSendResponse, SyncResponse

from tests.stack.accounts import Person, open_client, register
from tests.support.http import connect_tls
from tests.support.matrix import LOGIN, build_login, escape
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine

MB: Final = 1_000_000
MAX_UPLOAD: Final = 90 * 1024**2


@pytest.fixture(scope="module")
def person(stack: Stack) -> Person:
    """A user of the bundle."""
    return register(stack)


def test_every_service_is_healthy_and_every_check_holds(stack: Stack) -> None:
    """After `up` every service is healthy, bootstrap ended well, and `check` finds nothing wrong."""
    services = stack.compose("config", "--services").stdout.split()
    states = {service: stack.health(service) for service in services}
    assert states.pop("bootstrap") == "exited"
    assert stack.inspect("bootstrap")["State"]["ExitCode"] == 0
    assert set(states.values()) == {"healthy"}, states
    checked = stack.check()
    report = json.loads(checked.stdout)
    assert [row for row in report["checks"] if not row["ok"]] == []
    assert (checked.returncode, report["ok"]) == (0, True)
    assert len(report["checks"]) >= 10


def test_the_first_administrator_signs_in_and_talks(stack: Stack) -> None:
    """A Matrix client that trusts only the bundle's authority signs in, sends a message, finds it."""
    found = asyncio.run(talk(stack))
    assert found == ["hello, world"]


async def talk(stack: Stack) -> list[str]:
    """Sign in with the generated password, send a message and return those that sync brings."""
    async with open_client(stack, stack.admin) as client:
        signed_in = await client.login(stack.secret("admin_password"))
        assert isinstance(signed_in, LoginResponse), signed_in
        assert signed_in.user_id == f"@{stack.admin}:{stack.server_name}"
        room = await client.room_create(name="A room")
        assert isinstance(room, RoomCreateResponse), room
        message = {"msgtype": "m.text", "body": "hello, world"}
        sent = await client.room_send(room.room_id, "m.room.message", message)
        assert isinstance(sent, RoomSendResponse), sent
        synced = await client.sync(timeout=0, full_state=True)
        assert isinstance(synced, SyncResponse), synced
        events = synced.rooms.join[room.room_id].timeline.events
        return [event.body for event in events if isinstance(event, RoomMessageText)]


def test_a_wrong_password_does_not_sign_in(stack: Stack) -> None:
    """The administrator signs in with the right password alone."""
    answer = stack.ask("POST", LOGIN, body=build_login(stack.admin, "no such word"))
    assert (answer.status, answer.json["errcode"]) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("size", [1 * MB, 60 * MB])
def test_a_file_comes_back_as_it_was_uploaded(person: Person, size: int) -> None:
    """A file of 1 MB and one of 60 MB come back byte for byte, for signed-in people alone."""
    data = os.urandom(size)
    uploaded = person.upload(data)
    assert uploaded.status == 200, uploaded.body
    uri = uploaded.json["content_uri"]
    downloaded = person.download(uri)
    assert downloaded.status == 200
    assert downloaded.body == data
    stranger = Person(stack=person.stack, user_id="", token="")
    assert stranger.download(uri).status == 401


def test_three_large_uploads_at_once_are_all_stored(person: Person) -> None:
    """Three uploads of 30 MB at the same time all come back byte for byte."""
    files = [os.urandom(30 * MB) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(person.upload, files))
    assert [answer.status for answer in answers] == [200, 200, 200]
    uris = [answer.json["content_uri"] for answer in answers]
    assert [person.download(uri).body for uri in uris] == files


def test_a_file_of_the_largest_size_passes_and_one_byte_more_does_not(person: Person) -> None:
    """max_upload_size is the last size that is stored; beyond it a browser reads M_TOO_LARGE."""
    assert person.upload(bytes(MAX_UPLOAD)).status == 200
    refused = person.upload(bytes(MAX_UPLOAD + 1))
    assert (refused.status, refused.json["errcode"]) == (413, "M_TOO_LARGE")
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["access-control-allow-origin"] == "*"


def test_an_alias_with_slashes_arrives_byte_for_byte(person: Person) -> None:
    """A room is found by an alias with slashes and percent signs exactly as it was given."""
    alias = f"#a/b//c%2Fdü{os.getpid()}:{person.stack.server_name}"
    room = person.create_room()
    person.call("PUT", f"/directory/room/{escape(alias)}", {"room_id": room})
    assert person.call("GET", f"/directory/room/{escape(alias)}")["room_id"] == room
    assert person.call("GET", f"/rooms/{escape(room)}/aliases")["aliases"] == [alias]


def test_a_state_key_with_slashes_arrives_byte_for_byte(person: Person) -> None:
    """State is stored under a key with slashes exactly as it was given."""
    key = "a/b//c%2Fd#e"
    room = person.create_room()
    path = f"/rooms/{escape(room)}/state/org.example.kind/{escape(key)}"
    person.call("PUT", path, {"value": 1})
    assert person.call("GET", path) == {"value": 1}
    events = person.call("GET", f"/rooms/{escape(room)}/state")
    assert [e["state_key"] for e in events if e["type"] == "org.example.kind"] == [key]


def test_an_event_id_with_slashes_is_looked_up(person: Person) -> None:
    """An event is found by its id when that holds a slash, as half of those of room version 3 do."""
    room = person.create_room(room_version="3")
    events = (person.send(room, f"message {number}") for number in range(50))
    event = next(event for event in events if "/" in event)
    found = person.call("GET", f"/rooms/{escape(room)}/event/{escape(event)}")
    assert found["event_id"] == event


def test_strangers_cannot_register(stack: Stack) -> None:
    """An account needs the administrator."""
    body = {"username": "stranger", "password": "a long password"}
    answer = stack.ask("POST", "/_matrix/client/v3/register", body=body)
    assert (answer.status, answer.json["errcode"]) == (403, "M_FORBIDDEN")


def test_the_admin_api_is_open_on_the_machine_alone(stack: Stack) -> None:
    """The admin API answers on Synapse's loopback port and never through Apache."""
    path = "/_synapse/admin/v1/server_version"
    assert stack.ask_synapse("GET", path).status == 200
    assert stack.ask("GET", path).status == 403
    assert stack.ask("GET", "/_synapse/admin/v1/register").status == 403


def test_the_certificate_is_the_authoritys_and_for_this_name(stack: Stack) -> None:
    """A client that trusts the authority refuses any other name on the same port."""
    with pytest.raises(OSError, match="certificate verify failed"):
        connect_tls(stack.https_port, "another.example", stack.trust())


def test_the_landing_page_says_how_to_sign_in(stack: Stack) -> None:
    """The landing page names the server that a person types into a client."""
    page = stack.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert stack.server_name in page.body.decode()

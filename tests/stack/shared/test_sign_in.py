"""Rate limits: what a family may do on the first evening, and what a password guesser cannot."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.stack.accounts import Person, register
from tests.support.http import Answer
from tests.support.matrix import LOGIN, build_login, escape
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine

PASSWORD: Final = "a long password"
FAMILY: Final = 8
DEVICES: Final = 3
# Documentation addresses (RFC 5737): on the loopback port Synapse believes X-Forwarded-For.
GUESSER: Final = "203.0.113.7"
# One address for a whole family; the engine's gateway is that of every other test too.
HOME: Final = "203.0.113.40"
ROOMS: Final = 20
PHOTOS: Final = 30


@pytest.fixture(scope="module")
def family(trial: Stack) -> list[Person]:
    """Each person at home has an account."""
    return [register(trial) for _ in range(FAMILY)]


def sign_in(stack: Stack, user: str, password: str, address: str = "") -> Answer:
    """Sign in on the loopback port, where the address is the engine's gateway or a forged one."""
    headers = {"X-Forwarded-For": address}
    return stack.ask_synapse("POST", LOGIN, body=build_login(user, password), headers=headers)


def count(answers: Iterable[Answer]) -> Counter[int]:
    """Return how often each status came."""
    return Counter(answer.status for answer in answers)


def test_a_family_signs_in_from_one_address(family: list[Person]) -> None:
    """Eight people with three devices each sign in through one address, one after the other."""
    stack = family[0].stack
    users = [person.user_id for person in family for _ in range(DEVICES)]
    answers = (sign_in(stack, user, PASSWORD, HOME) for user in users)
    assert count(answers) == {200: len(users)}


def test_a_person_signs_in_on_every_device_and_in_every_client(family: list[Person]) -> None:
    """One account signs in eight times in a row; a right password is never delayed."""
    user = family[1].user_id
    answers = (sign_in(family[0].stack, user, PASSWORD, "203.0.113.1") for _ in range(8 - DEVICES))
    assert count(answers) == {200: 8 - DEVICES}


def test_a_family_furnishes_its_rooms(family: list[Person]) -> None:
    """One person opens twenty rooms and invites a newcomer into each; another sends thirty photos."""
    host, guest, photographer = family[4:7]
    created = [host.ask("POST", "/createRoom", {}) for _ in range(ROOMS)]
    assert count(created) == {200: ROOMS}
    rooms = [answer.json["room_id"] for answer in created]
    body = {"user_id": guest.user_id}
    invited = (host.ask("POST", f"/rooms/{escape(room)}/invite", body) for room in rooms)
    assert count(invited) == {200: ROOMS}
    album = escape(photographer.create_room())
    photo = {"msgtype": "m.text", "body": "photo"}
    path = f"/rooms/{album}/send/m.room.message/photo-"
    photos = (photographer.ask("PUT", f"{path}{number}", photo) for number in range(PHOTOS))
    assert count(photos) == {200: PHOTOS}


def test_a_guesser_from_many_addresses_has_ten_tries_for_an_account(family: list[Person]) -> None:
    """Wrong passwords are counted by account, whatever the address and the spelling of the name."""
    victim, stack = family[2].user_id, family[0].stack
    names = itertools.cycle([victim, victim.upper().replace("PERSON", "Person"), victim.lower()])
    answers = [
        sign_in(stack, next(names), f"guess number {number}", f"198.51.100.{number}")
        for number in range(25)
    ]
    assert 1 <= count(answers)[403] <= 11, count(answers)
    assert count(answers)[200] == 0
    # The account's other limit shows in the waiting time, not in tries: 5 minutes, not 6 seconds.
    assert answers[-1].json["retry_after_ms"] > 60_000
    # A session that is signed in stays.
    assert family[2].call("GET", "/account/whoami")["user_id"] == victim


def test_a_guesser_of_names_is_stopped_by_address_and_no_one_else_is(family: list[Person]) -> None:
    """One address has sixty tries over all accounts; a right password elsewhere signs in meanwhile."""
    stack = family[0].stack

    def guess(number: int) -> Answer:
        return sign_in(stack, f"nobody-{number}", "password1234", GUESSER)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(90)))
    tried = count(answers)
    assert tried[429] > 0
    assert FAMILY * DEVICES <= tried[403] <= 65, tried
    assert sign_in(stack, family[3].user_id, PASSWORD, GUESSER).status == 429
    assert sign_in(stack, family[3].user_id, PASSWORD, "203.0.113.9").status == 200

"""Visitors who come all the time: new TLS connections, and long polls that are held."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack.people import Person
    from tests.stack.stacks import Stack

# Seconds between two visits of one visitor: many enough to meet every reload, and the machine has
# other work.
PAUSE: Final = 0.05
HELD: Final = 20
_LONGEST: Final = 60


@dataclass(kw_only=True)
class Visits:
    """What happened to the visitors."""

    handshakes: int = 0
    polls: int = 0
    failures: list[str] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)

    def note(self, serial: str) -> None:
        """Remember a certificate that was served, once for each change."""
        self.handshakes += 1
        if not self.serials or self.serials[-1] != serial:
            self.serials.append(serial)


def trust(*roots: Path) -> ssl.SSLContext:
    """Return a context that trusts the named roots and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for root in roots:
        context.load_verify_locations(cafile=str(root))
    return context


def shake_hands(stack: Stack, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a new connection to Apache, whose certificate was verified for the homeserver."""
    plain = socket.create_connection(("127.0.0.1", stack.https_port), timeout=_LONGEST)
    return context.wrap_socket(plain, server_hostname=stack.homeserver)


def read_served(stack: Stack, context: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that Apache serves."""
    with shake_hands(stack, context) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def visit(stack: Stack, context: ssl.SSLContext) -> str:
    """Make one request on a new connection; return the serial of the certificate it met."""
    connection = http.client.HTTPSConnection("localhost", stack.https_port, timeout=_LONGEST)
    with shake_hands(stack, context) as tls:
        der = tls.getpeercert(binary_form=True) or b""
        connection.sock = tls
        headers = {"Host": stack.homeserver, "Connection": "close"}
        connection.request("GET", "/_matrix/client/versions", headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"answered {answer.status}")
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def poll(person: Person, context: ssl.SSLContext) -> float:
    """Hold one long poll on a new connection; return the seconds it was held."""
    begun, path = time.monotonic(), "/_matrix/client/v3/sync"
    since = sync(person, context, f"{path}?timeout=0")
    sync(person, context, f"{path}?timeout={HELD * 1000}&since={since}")
    return time.monotonic() - begun


def sync(person: Person, context: ssl.SSLContext, target: str) -> str:
    """Sync once; return the token for the next time.

    On a connection of its own: a server may close an idle one at any moment, and a client that then
    did not open another (RFC 9112, section 9.3.1) would see a failure where there is none.
    """
    stack = person.stack
    connection = http.client.HTTPSConnection("localhost", stack.https_port, timeout=_LONGEST)
    with shake_hands(stack, context) as tls:
        connection.sock = tls
        headers = {"Host": stack.homeserver, "Authorization": f"Bearer {person.token}"}
        connection.request("GET", target, headers=headers)
        return read_token(connection.getresponse())


def read_token(answer: http.client.HTTPResponse) -> str:
    """Return the token for the next poll, from an answer that must be good."""
    content = answer.read().decode()
    if answer.status != http.HTTPStatus.OK:
        raise ConnectionError(f"answered {answer.status}: {content[:200]}")
    return content.partition('"next_batch":"')[2].partition('"')[0]


@contextlib.contextmanager
def keep_shaking_hands(stack: Stack, context: ssl.SSLContext) -> Iterator[Visits]:
    """Let visitors look at the certificate, and at nothing else, until the block ends."""
    visits, stop = Visits(), threading.Event()

    def look() -> None:
        visits.note(f"{read_served(stack, context).serial_number:x}")
        stop.wait(PAUSE)

    thread = threading.Thread(target=repeat, args=(look, stop, visits))
    thread.start()
    try:
        yield visits
    finally:
        stop.set()
        thread.join(_LONGEST)


@contextlib.contextmanager
def keep_coming(
    stack: Stack, context: ssl.SSLContext, people: tuple[Person, ...] = ()
) -> Iterator[Visits]:
    """Let visitors come until the block ends; the last long polls end by themselves."""
    visits, stop = Visits(), threading.Event()

    def come() -> None:
        visits.note(visit(stack, context))
        stop.wait(PAUSE)

    def hold(person: Person) -> None:
        if poll(person, context) >= HELD:
            visits.polls += 1

    actions: list[Callable[[], None]] = [come]
    actions += [lambda person=person: hold(person) for person in people]  # type: ignore[misc]
    threads = [threading.Thread(target=repeat, args=(action, stop, visits)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        stop.set()
        for thread in threads:
            thread.join(_LONGEST)


def repeat(action: Callable[[], None], stop: threading.Event, visits: Visits) -> None:
    """Do something again and again; whatever fails is remembered."""
    while not stop.is_set():
        try:
            action()
        except (OSError, http.client.HTTPException) as error:
            moment = time.strftime("%H:%M:%S")
            visits.failures.append(f"{moment} {type(error).__name__}: {error}")
            stop.wait(PAUSE)

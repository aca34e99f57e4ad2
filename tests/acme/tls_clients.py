"""Clients that connect all the time: new TLS connections, and long polls that are held."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from tests.stack.accounts import Person
from tests.support import http
from tests.support.http import connect_tls, read_certificate
from tests.support.matrix import CLIENT, VERSIONS
from tests.support.stacks import Stack

# Seconds between two connections of one client: often enough to meet every reload, and the machine
# has other work.
PAUSE: Final = 0.05
HELD: Final = 20
_LONGEST: Final = 60


@dataclass(kw_only=True)
class ClientLog:
    """What the clients saw."""

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
    """Return a context that trusts the named roots alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for root in roots:
        context.load_verify_locations(cafile=str(root))
    return context


def read_served(stack: Stack, context: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that Apache serves, verified for the homeserver."""
    return read_certificate(stack.https_port, stack.homeserver, context)


def ask(stack: Stack, context: ssl.SSLContext, path: str, token: str = "") -> tuple[str, Any]:
    """Return the serial of the certificate of a new connection, and a good answer's document.

    Each request has a connection of its own: a server may close an idle one at any moment, and a
    client that then did not open another (RFC 9112, section 9.3.1) would see a failure where there
    is none.
    """
    connection = connect_tls(stack.https_port, stack.homeserver, context, _LONGEST)
    assert isinstance(connection.sock, ssl.SSLSocket)
    der = connection.sock.getpeercert(binary_form=True) or b""
    answer = http.ask(connection, "GET", path, token=token)
    if answer.status != HTTPStatus.OK:
        raise ConnectionError(f"answered {answer.status}: {answer.body[:200]!r}")
    return f"{x509.load_der_x509_certificate(der).serial_number:x}", answer.json


def poll(person: Person, context: ssl.SSLContext) -> float:
    """Hold one long poll on a new connection; return the seconds it was held."""
    begun, path = time.monotonic(), f"{CLIENT}/sync"
    _, first = ask(person.stack, context, f"{path}?timeout=0", person.token)
    waiting = f"{path}?timeout={HELD * 1000}&since={first['next_batch']}"
    ask(person.stack, context, waiting, person.token)
    return time.monotonic() - begun


@contextlib.contextmanager
def keep_shaking_hands(stack: Stack, context: ssl.SSLContext) -> Iterator[ClientLog]:
    """Read the served certificate again and again until the block ends."""
    log, stop = ClientLog(), threading.Event()

    def look() -> None:
        log.note(f"{read_served(stack, context).serial_number:x}")
        stop.wait(PAUSE)

    thread = threading.Thread(target=repeat, args=(look, stop, log))
    thread.start()
    try:
        yield log
    finally:
        stop.set()
        thread.join(_LONGEST)


@contextlib.contextmanager
def keep_connecting(
    stack: Stack, context: ssl.SSLContext, people: tuple[Person, ...] = ()
) -> Iterator[ClientLog]:
    """Let clients connect and poll until the block ends; the last long polls end by themselves."""
    log, stop = ClientLog(), threading.Event()

    def connect() -> None:
        log.note(ask(stack, context, VERSIONS)[0])
        stop.wait(PAUSE)

    def hold(person: Person) -> None:
        if poll(person, context) >= HELD:
            log.polls += 1

    actions: list[Callable[[], None]] = [connect]
    actions += [lambda person=person: hold(person) for person in people]  # type: ignore[misc]
    threads = [threading.Thread(target=repeat, args=(action, stop, log)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield log
    finally:
        stop.set()
        for thread in threads:
            thread.join(_LONGEST)


def repeat(action: Callable[[], None], stop: threading.Event, log: ClientLog) -> None:
    """Repeat an action; record what fails."""
    while not stop.is_set():
        try:
            action()
        except (OSError, HTTPException) as error:
            moment = time.strftime("%H:%M:%S")
            log.failures.append(f"{moment} {type(error).__name__}: {error}")
            stop.wait(PAUSE)

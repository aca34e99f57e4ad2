"""Sent into a pod: asks each of some addresses again and again, until its input ends; prints what became of it.

A question does not wait for the one before: a connection to a pod that is just going may stay unanswered for a
second, in which others are answered.
"""

import itertools
import json
import select
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

PAUSE = 0.1
AT_ONCE = 60
PATIENCE = 20


class Visitor:
    """Asks one address, under a homeserver's name, each time on a connection of its own."""

    def __init__(self, address: str, name: str) -> None:
        self._address = urlsplit(address)
        self._name = name
        self._answered: list[float] = []
        self._failures: list[str] = []

    def ask(self) -> None:
        """Ask once."""
        fault = self._find_fault()
        if fault:
            self._failures.append(fault)
        else:
            self._answered.append(time.monotonic())

    def _find_fault(self) -> str:
        connection = self._connect()
        try:
            connection.request("GET", self._address.path, headers={"Host": self._name})
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        return "" if answer.status == 200 else str(answer.status)

    def _connect(self) -> HTTPConnection:
        if self._address.scheme == "http":
            return HTTPConnection(self._address.netloc, timeout=PATIENCE)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection(self._address.netloc, timeout=PATIENCE, context=context)

    def report(self) -> "dict[str, object]":
        """Return how often it was asked, what failed, and the longest time from an answer to the next."""
        pairs = itertools.pairwise(sorted(self._answered))
        return {
            "asked": len(self._answered) + len(self._failures),
            "failures": self._failures,
            "gap": max((later - earlier for earlier, later in pairs), default=0.0),
        }


def main(name: str, *addresses: str) -> None:
    """Ask until standard input ends."""
    visitors = {address: Visitor(address, name) for address in addresses}
    for visitor in visitors.values():
        visitor.ask()
    print("began", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            for visitor in visitors.values():
                pool.submit(visitor.ask)
    for visitor in visitors.values():
        visitor.ask()
    print(json.dumps({address: visitor.report() for address, visitor in visitors.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])

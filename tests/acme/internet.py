"""The internet of an ACME client, in containers on a network of their own.

Names on that network: `cloudflare` (the API, http), `pebble` and `brief` (ACME directories on port
14000; their certificates live 90 days and 3 minutes). `resolver` answers for all of DNS.
"""

from __future__ import annotations

import contextlib
import json
import random
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import trustme

from tests.support import fake_cloudflare
from tests.support.engine import docker, try_docker
from tests.support.http import ask, trust_any
from tests.support.waiting import PATIENCE, becomes_true, wait_for

IMAGES: Final = Path(__file__).parent / "images"
FAKE_CLOUDFLARE: Final = Path(fake_cloudflare.__file__).parent
# Where the image of the fakes has its Python packages.
PACKAGES: Final = "/usr/lib/fake-internet"
CONTROL_PORT: Final = 8081
TOKEN: Final = "token-of-the-helper-00000000000000000000"
# Seconds that a certificate of each authority lives.
# Of the brief life a third is left when the helper asks: a minute, for a machine that is very busy.
LIFETIMES: Final = {"pebble": 90 * 86400, "brief": 180}
# Where pebble takes orders and learns that a challenge is ready.
ORDER: Final = "/order-plz"
CHALLENGE: Final = "/chalZ/"


@dataclass(frozen=True, kw_only=True)
class Internet:
    """A running fake internet; `prefix` is the network's first three numbers with a dot."""

    name: str
    prefix: str
    folder: Path

    @property
    def network(self) -> str:
        """The Docker network a client must join."""
        return self.name

    @property
    def resolver(self) -> str:
        """The address that a client's resolv.conf must name."""
        return f"{self.prefix}2"

    @property
    def api(self) -> str:
        """The base of Cloudflare's API (CLOUDFLARE_BASE_URL)."""
        return "http://cloudflare/client/v4"

    @property
    def trust(self) -> Path:
        """A PEM with the roots of the directories' own TLS and of what they issue."""
        return self.folder / "pebble.pem"

    def directory(self, authority: str = "pebble") -> str:
        """Return the URL of an authority's directory."""
        return f"https://{authority}:14000/dir"

    def control(self, **switches: Any) -> None:
        """Set switches of the fakes; `state.SWITCHES` in the image says which there are."""
        self._ask("PUT", "/switches", switches)

    def reset(self) -> None:
        """Undo every fault, and forget records and what was asked."""
        self._ask("POST", "/reset", {})

    def read_state(self) -> dict[str, Any]:
        """Return records, requests, queries and violations so far."""
        found: dict[str, Any] = self._ask("GET", "/state")
        return found

    def count(self, path: str, method: str = "POST") -> int:
        """Return how many requests went to a path."""
        seen = self.read_state()["requests"]
        return sum(path in one["path"] and one["method"] == method for one in seen)

    def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection(self.resolver, CONTROL_PORT, timeout=10)
        answer = ask(connection, method, path, body=document)
        assert answer.status == HTTPStatus.OK, answer.body.decode()
        return answer.json


@contextlib.contextmanager
def run_internet(folder: Path) -> Iterator[Internet]:
    """Start a fake internet with its files in `folder`; remove every trace of it at the end."""
    name = f"acme-{uuid.uuid4().hex[:8]}"
    internet = Internet(name=name, prefix=make_network(name), folder=folder)
    try:
        start(internet)
        yield internet
    finally:
        for container in (name, *(f"{name}-{authority}" for authority in LIFETIMES)):
            try_docker("rm", "--force", "--volumes", container)
        try_docker("network", "rm", name)


def make_network(name: str) -> str:
    """Make a network in a free part of 198.18.0.0/15, which is reserved for tests (RFC 2544)."""
    reason = ""
    for _ in range(20):
        prefix = f"198.{random.choice((18, 19))}.{random.randrange(256)}."
        # The engine gives addresses from the upper half alone: it does not know of all in the lower.
        subnet = ["--subnet", f"{prefix}0/24", "--ip-range", f"{prefix}128/25"]
        done = try_docker("network", "create", *subnet, name)
        if done.returncode == 0:
            return prefix
        reason = done.stderr
    raise AssertionError(reason)


def start(internet: Internet) -> None:
    """Build the two images and start the containers; wait until all answer."""
    for image in ("internet", "pebble"):
        docker("build", "--quiet", "--tag", tag(image), str(IMAGES / image))
    root = trustme.CA()
    served = internet.folder / "served.pem"
    root.issue_cert(*LIFETIMES).private_key_and_cert_chain_pem.write_to_path(served)
    served.chmod(0o444)
    addresses = {name: f"{internet.prefix}{n}" for n, name in enumerate(LIFETIMES, start=5)}
    for authority, address in addresses.items():
        start_authority(internet, authority, address, served)
    start_fakes(internet, addresses, served)
    wait_until_answering(internet)
    roots = [fetch_root(address) for address in addresses.values()]
    internet.trust.write_bytes(b"".join([root.cert_pem.bytes(), *roots]))


def tag(image: str) -> str:
    """Return the name of an image of the tests."""
    return f"synapse-bundle-test/{image}"


def start_authority(internet: Internet, name: str, address: str, served: Path) -> None:
    """Start a pebble; clients reach it only through the proxy."""
    settings = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "0.0.0.0:15000",
        "certificate": "/etc/pebble/served.pem",
        "privateKey": "/etc/pebble/served.pem",
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "certificateValidityPeriod": LIFETIMES[name],
    }
    file = internet.folder / f"{name}.json"
    file.write_text(json.dumps({"pebble": settings}))
    file.chmod(0o444)
    mounts = [f"--volume={file}:/etc/pebble/pebble.json:ro"]
    mounts += [f"--volume={served}:/etc/pebble/served.pem:ro"]
    options = [f"--network={internet.network}", f"--ip={address}", f"--name={internet.name}-{name}"]
    servers = ["-dnsserver", f"{internet.resolver}:53"]
    docker("run", "--detach", *options, *mounts, tag("pebble"), *servers)


def start_fakes(internet: Internet, authorities: Mapping[str, str], served: Path) -> None:
    """Start the API, the name servers and the proxy."""
    variables = {
        "ADDRESS": internet.resolver,
        "NAMESERVERS": f"ada={internet.prefix}3 bob={internet.prefix}4",
        "AUTHORITIES": " ".join(f"{name}={address}" for name, address in authorities.items()),
        "TLS_FILE": "/etc/served.pem",
    }
    aliases = [f"--network-alias={name}" for name in ("cloudflare", *authorities)]
    options = [f"--network={internet.network}", f"--ip={internet.resolver}", *aliases]
    # The name servers' addresses are put on the container's interface by itself.
    options += ["--cap-add=NET_ADMIN", f"--name={internet.name}"]
    options += [f"--env={key}={value}" for key, value in variables.items()]
    options += [f"--volume={served}:/etc/served.pem:ro"]
    options += [f"--volume={FAKE_CLOUDFLARE}:{PACKAGES}/tests/support/fake_cloudflare:ro"]
    docker("run", "--detach", *options, tag("internet"))


def wait_until_answering(internet: Internet) -> None:
    """Wait for the fakes; show what they printed when they do not start."""

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(internet.read_state())
        return False

    if not becomes_true(answers, PATIENCE):
        done = try_docker("logs", internet.name)
        raise AssertionError(done.stdout + done.stderr)


def fetch_root(address: str) -> bytes:
    """Return the PEM of the root that an authority made when it started."""
    found: list[bytes] = []

    def fetch() -> bool:
        url = f"https://{address}:15000/roots/0"
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(url, timeout=10, context=trust_any()) as answer,
        ):
            found.append(answer.read())
        return bool(found)

    wait_for(fetch, f"{address} serves its root")
    return found[0]

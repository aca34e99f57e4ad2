"""A bundle with a certificate of an ACME authority, renewed while people use the server."""

from __future__ import annotations

import functools
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml
from cryptography import x509

from tests.acme import acme_bundles, tls_clients
from tests.acme.internet import Internet, run_internet
from tests.stack.accounts import register
from tests.stack.fault_injection import freeze
from tests.support.authority import encode_key, issue
from tests.support.engine import docker
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

# Five years of a certificate of 90 days.
RENEWALS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Certified:
    """A running bundle, and the internet in which it gets its certificate."""

    stack: Stack
    internet: Internet

    def renew(self, *options: str) -> int:
        """Run `certificates renew` in the helper, with options for `exec`; return its exit code."""
        command = ["bundle-helper", "certificates", "renew"]
        done = self.stack.compose("exec", "--no-TTY", *options, "helper", *command, check=False)
        return done.returncode

    def published(self) -> str:
        """Return the serial of what is published."""
        return serial(acme_bundles.read_live(self.stack)[0])

    def served(self) -> str:
        """Return the serial of what Apache serves, which must be valid."""
        return serial(tls_clients.read_served(self.stack, tls_clients.trust(self.internet.trust)))

    def wait_served(self) -> None:
        """Wait until Apache serves what is published."""
        wait_for(lambda: self.served() == self.published(), "it is served")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    """A bundle for example.test behind the tunnel's double, with its first certificate."""
    with run_internet(tmp_path_factory.mktemp("internet")) as internet:
        folder = tmp_path_factory.mktemp("certified")
        stack = acme_bundles.generate_bundle(folder, "certified", internet, tunnel=True)
        try:
            stack.up()
            acme_bundles.LoneHelper(stack=stack).wait_issued()
            found = Certified(stack=stack, internet=internet)
            both = tls_clients.trust(internet.trust, stack.directory / "secrets" / "authority.pem")
            wait_for(
                lambda: serial(tls_clients.read_served(stack, both)) == found.published(),
                "the first certificate is served",
            )
            yield found
        finally:
            stack.down()


def serial(certificate: x509.Certificate) -> str:
    """Return a serial number as text."""
    return f"{certificate.serial_number:x}"


def test_serves_through_the_tunnel(certified: Certified) -> None:
    """The tunnel accepts the authority's chain, and the bundle's own check passes."""
    assert certified.stack.ask_through_tunnel("GET", "/_matrix/client/versions").status == 200
    leaf = tls_clients.read_served(certified.stack, tls_clients.trust(certified.internet.trust))
    assert "Pebble" in leaf.issuer.rfc4514_string()
    certified.stack.wait_healthy()
    done = certified.stack.check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert certified.internet.read_state()["violations"] == []


@pytest.mark.parametrize("fault", ["another key", "cut short", "another name"])
def test_never_serves_what_is_broken(certified: Certified, fault: str) -> None:
    """A broken file in the volume is not served, and the helper puts a good one back."""
    good = acme_bundles.read_file(certified.stack, "live.pem")
    before = certified.served()
    with tls_clients.keep_connecting(
        certified.stack, tls_clients.trust(certified.internet.trust)
    ) as log:
        seen = f"certificate: keeping the one in use: /certificates/live.pem {WORDS[fault]}"
        broken = break_pem(good, fault)
        wait_for(functools.partial(is_noticed, certified.stack, broken, seen), seen)
        assert certified.renew() == 0
        certified.wait_served()
    assert log.failures == []
    assert log.serials in ([before], [before, certified.published()])


def is_noticed(stack: Stack, broken: bytes, seen: str) -> bool:
    """Return whether Apache's log has a line; break the file again if the helper was faster."""
    if acme_bundles.read_file(stack, "live.pem") != broken:
        acme_bundles.write_file(stack, broken)
    return seen in stack.compose("logs", "--no-color", "--no-log-prefix", "apache").stdout


WORDS: Final = {
    "another key": "has a private key that belongs to another certificate",
    "cut short": "has a",
    "another name": "is not for the host name",
}


def break_pem(good: bytes, fault: str) -> bytes:
    """Return a PEM with one fault."""
    certificates, _, _ = good.partition(b"-----BEGIN PRIVATE KEY-----")
    if fault == "cut short":
        return good[: len(certificates) // 2]
    other = issue("other.test", issue("another authority"))
    if fault == "another key":
        return certificates + encode_key(other.key).encode()
    return other.bundle.encode()


def test_killed_at_each_step_of_publishing(certified: Certified) -> None:
    """Wherever the helper is killed while it publishes, what is served stays valid."""
    context = tls_clients.trust(certified.internet.trust)
    helper = certified.stack.container("helper")
    with tls_clients.keep_connecting(certified.stack, context) as log:
        certified.internet.control(renewal="past")
        # The service itself would publish what a killed command left behind. Its init is frozen
        # too, so that the container stays when the health check ends what hangs.
        freeze(certified.stack, "helper")
        docker("kill", "--signal", "STOP", helper)
        steps, code = 0, 137
        while code == 137:
            steps += 1
            code = certified.renew("--env", f"TEST_CRASH_AT={steps}")
            assert acme_bundles.is_foreign(acme_bundles.read_live(certified.stack)[0])
            certified.internet.control(renewal="future")
        assert code == 0
        docker("kill", "--signal", "KILL", helper)
        certified.stack.compose("up", "--detach", "helper")
        certified.stack.wait_healthy("helper")
        certified.wait_served()
    assert steps > 4, "publishing has fewer steps than this test can kill"
    assert log.failures == []


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a container holds: processes, open files, resident memory in kB, files it wrote."""

    processes: int
    descriptors: int
    memory: int
    files: int


MEASURE: Final = r"""
p=0; d=0; m=0
for s in /proc/[0-9]*; do
  n=$(cat $s/comm 2>/dev/null) || continue
  case $n in sh|cat|ls|wc|awk|sleep|stat) continue ;; esac
  p=$((p + 1)); d=$((d + $(ls $s/fd 2>/dev/null | wc -l)))
  m=$((m + $(awk '/^VmRSS/ {m = $2} END {print m + 0}' $s/status 2>/dev/null || echo 0)))
done
f=$(find /certificates /run /tmp -xdev -type f 2>/dev/null | wc -l)
f=$((f + $(find /run/helper /run/apache2 /certificates -type f 2>/dev/null | wc -l)))
echo "{\"processes\": $p, \"descriptors\": $d, \"memory\": $m, \"files\": $f}"
"""


def measure(stack: Stack, service: str) -> Footprint:
    """Return a service's footprint now."""
    found = docker("exec", stack.container(service), "sh", "-c", MEASURE)
    return Footprint(**json.loads(found))


def test_renews_for_years_without_a_leak(certified: Certified) -> None:
    """Two years of renewals drop no handshake, no request and no long poll, and leak nothing."""
    stack, context = certified.stack, tls_clients.trust(certified.internet.trust)
    people = tuple(register(stack) for _ in range(4))
    certified.internet.control(renewal="past")
    assert certified.renew() == 0
    certified.wait_served()
    before = {service: measure(stack, service) for service in ("helper", "apache")}
    with tls_clients.keep_connecting(stack, context, people) as log:
        serials = set()
        for _ in range(RENEWALS):
            # Unhurried: faster than Apache's watcher looks, most would never be served.
            assert certified.renew("--env", "TEST_PACE=1") == 0
            serials.add(certified.published())
        certified.wait_served()
    assert len(serials) == RENEWALS
    assert log.failures == []
    assert log.polls >= len(people)
    # Two publications within one look of Apache's watcher are one reload.
    assert len(log.serials) > RENEWALS / 2
    for service, then in before.items():
        wait_for(functools.partial(is_settled, stack, service, then), settled(service), 60)


def settled(service: str) -> str:
    """Return what is waited for."""
    return f"{service} holds no more than before"


def is_settled(stack: Stack, service: str, then: Footprint) -> bool:
    """Return whether nothing leaked: one of anything for each renewal would be too much."""
    now = measure(stack, service)
    return (
        now.processes <= then.processes + 1
        and now.descriptors <= then.descriptors + RENEWALS / 2
        and now.files <= then.files + 2
        and now.memory <= then.memory * 1.25 + 8 * 1024
    )


def test_changes_its_issuer_while_it_serves(certified: Certified, tmp_path: Path) -> None:
    """Each issuer takes over from the last by generate and up; no handshake fails in between."""
    stack = certified.stack
    given = yaml.safe_load(stack.settings.read_text())
    own = tls_clients.trust(stack.directory / "secrets" / "authority.pem")
    acme = tls_clients.trust(certified.internet.trust)
    both = tls_clients.trust(
        certified.internet.trust, stack.directory / "secrets" / "authority.pem"
    )
    files = write_files(tmp_path, acme_bundles.read_file(stack, "live.pem"))
    serials = [certified.served()]
    with tls_clients.keep_shaking_hands(stack, both) as log:
        for chosen, trusted in (
            ("own-authority", own),
            ({"issuer": "files", "root": given["certificates"]["root"], **files}, acme),
            (given["certificates"], acme),
        ):
            stack.settings.write_text(yaml.safe_dump(given | {"certificates": chosen}))
            stack.generate()
            stack.up()
            wait_for(functools.partial(serves, stack, trusted), f"{chosen} is served")
            serials.append(serial(tls_clients.read_served(stack, trusted)))
    assert log.failures == []
    assert serials[1] not in (serials[0], serials[2])
    assert serials[2] == serials[0]
    assert stack.check().returncode == 0


def serves(stack: Stack, trusted: ssl.SSLContext) -> bool:
    """Return whether Apache serves a certificate that a context trusts."""
    try:
        tls_clients.read_served(stack, trusted)
    except ssl.SSLCertVerificationError:
        return False
    return True


def write_files(folder: Path, pem: bytes) -> dict[str, str]:
    """Write a certificate and its key where any container may read them; return the settings."""
    chain, begin, key = pem.partition(b"-----BEGIN PRIVATE KEY-----")
    directory = Path(tempfile.mkdtemp(prefix="own-files-", dir=folder))
    directory.chmod(0o755)
    (directory / "certificate.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(begin + key)
    return {"certificate": f"{directory}/certificate.pem", "key": f"{directory}/key.pem"}

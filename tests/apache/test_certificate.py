"""The certificate watcher: a good file is put to use without an interruption, a bad one never."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.apache.apache_container import ApacheContainer, Start, publish
from tests.apache.configuration import plan_domain, plan_trial
from tests.support.authority import NOW, Leaf, encode_key, issue
from tests.support.engine import docker, try_docker
from tests.support.http import Answer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

NAME: Final = "matrix.example.org"
HOUR: Final = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def watched(start: Start, backend: str) -> Iterator[ApacheContainer]:
    """Start an Apache whose certificate changes during the test."""
    with start(plan_domain()) as front:
        yield front


def wait_until_served(front: ApacheContainer, leaf: Leaf) -> None:
    """Wait until a new connection is given `leaf`, and the watcher has logged it."""
    wait_for(lambda: front.serial() == leaf.serial, "the new certificate", 20)
    wait_for(lambda: f"{leaf.serial:X}" in front.logs(), "the watcher's word", 20)


def test_new_certificate_is_served_without_dropping_a_request(
    watched: ApacheContainer, authority: Leaf
) -> None:
    """A published certificate is served within seconds, and a request in flight is answered."""
    answers: list[Answer] = []
    poll = threading.Thread(target=lambda: answers.append(watched.ask("/_matrix/x?hold=6")))
    poll.start()
    wait_for(lambda: watched.ask("/_matrix/x").json["held"] == 1, "the poll to be held")
    leaf = issue(NAME, authority, chain=authority.pem)
    publish(watched.certificates, leaf.bundle)
    wait_until_served(watched, leaf)
    assert poll.is_alive()
    poll.join()
    assert [answer.status for answer in answers] == [200]


def describe_unusable(authority: Leaf) -> list[tuple[str, str]]:
    """Return files that must never be served, each with the reason the log must give."""
    good, other = issue(NAME, authority), issue(NAME, authority)
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the point
    return [
        (other.pem + encode_key(good.key), "has a private key that belongs to another certificate"),
        (good.bundle[:-40], "has a PRIVATE KEY block without its end"),
        (good.bundle.replace("\nM", "\n!", 1), "has a damaged CERTIFICATE block"),
        (issue("evil.test", authority).bundle, f"is not for the host name {NAME}"),
        (issue(NAME, authority, end=NOW - HOUR).bundle, "has expired"),
        (issue(NAME, authority, begin=NOW + HOUR).bundle, "is not valid yet"),
        (issue(NAME, authority, chain=other.pem).bundle, "has a chain in which certificate 1"),
        (issue(NAME, authority, key=weak).bundle, "or is too weak"),
        (good.pem, "holds no private key"),
        ("", "holds no private key"),
    ]


def test_unusable_certificates_are_distinguished(watched: ApacheContainer, authority: Leaf) -> None:
    """Each kind of unusable file is refused with its own reason, and a good one is not."""
    script = (
        "source /usr/local/lib/homeserver/certificate-checks; for number in {0..10};"
        ' do echo "$(check_certificate /certificates/$number.pem)"; done'
    )
    cases = [*describe_unusable(authority), (issue(NAME, authority).bundle, "")]
    for number, (content, _) in enumerate(cases):
        publish(watched.certificates, content, f"{number}.pem")
    found = try_docker("exec", watched.container, "bash", "-c", script).stdout.split("\n")[:-1]
    for (_, reason), said in zip(cases, found, strict=True):
        assert reason in said
        assert bool(reason) == bool(said)


def test_unusable_certificate_is_never_served(watched: ApacheContainer, authority: Leaf) -> None:
    """An unusable file is named once with its reason, and the last good one stays in use."""
    before = watched.serial()
    for content, reason in describe_unusable(authority)[:2]:
        publish(watched.certificates, content)
        wait_for(lambda: reason in watched.logs(), reason, 15)  # noqa: B023
        assert watched.logs().count(reason) == 1
        assert watched.serial() == before
    assert watched.find_fault() == ""
    # The one after a bad one is taken up again.
    leaf = issue(NAME, authority)
    publish(watched.certificates, leaf.bundle)
    wait_until_served(watched, leaf)


def test_a_certificate_without_room_is_served_as_soon_as_there_is(
    watched: ApacheContainer, authority: Leaf
) -> None:
    """A file without room for its copy is logged once, and used as soon as there is room."""
    before, ballast = watched.serial(), "/run/apache2/ballast"
    try_docker("exec", watched.container, "bash", "-c", f"cat /dev/zero >{ballast}")
    leaf = issue(NAME, authority)
    # The copy of the last good one but one makes room for a page.
    publish(watched.certificates, "A remark.\n" * 2000 + leaf.bundle)
    reason = "live.pem cannot be copied to /run/apache2 (No space left on device)"
    wait_for(lambda: reason in watched.logs(), reason, 60)
    # The watcher looks again, and lives: its sign of life needs no room.
    beat = ("exec", watched.container, "cat", "/run/apache2/watcher.beat")
    first = docker(*beat)
    wait_for(lambda: docker(*beat) > first, "another look", 60)
    assert watched.find_fault() == ""
    assert watched.logs().count(reason) == 1
    assert watched.serial() == before
    docker("exec", watched.container, "rm", ballast)
    wait_until_served(watched, leaf)


def test_first_start_waits_for_a_certificate(start: Start, authority: Leaf) -> None:
    """Without a certificate the container waits, logs that once, and serves the first good one."""
    with start(plan_trial(), ready=False) as front:
        wait_for(lambda: "waiting for the helper" in front.logs(), "the message")
        assert front.find_fault() == "no usable certificate has been published yet"
        publish(front.certificates, "rubbish")
        wait_for(lambda: "live.pem holds no private key" in front.logs(), "the next message")
        leaf = issue("localhost", authority)
        publish(front.certificates, leaf.bundle)
        wait_for(lambda: not front.find_fault(), "health")
        assert front.serial() == leaf.serial
        assert front.logs().count("waiting for the helper") == 2


def test_waiting_container_stops_at_once(start: Start) -> None:
    """`docker stop` ends a container that still waits, without killing it."""
    with start(plan_trial(), ready=False) as front:
        wait_for(lambda: "waiting for the helper" in front.logs(), "the message")
        docker("stop", "--time", "10", front.container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", front.container) == "0"


def test_start_falls_back_to_the_previous_certificate(start: Start, authority: Leaf) -> None:
    """When the newest file is unusable at start, the one before it is served, with the reason."""
    with start(plan_trial(), ready=False) as front:
        leaf = issue("localhost", authority)
        publish(front.certificates, leaf.bundle[:-40])
        publish(front.certificates, leaf.bundle, "previous.pem")
        wait_for(lambda: not front.find_fault(), "health")
        assert front.serial() == leaf.serial
        wait_for(lambda: "live.pem has a PRIVATE KEY block" in front.logs(), "the reason", 15)


def test_private_key_is_readable_for_apache_alone(watched: ApacheContainer) -> None:
    """Apache's copy of the key is in memory, in a private folder and file."""
    command = ("stat", "--format=%a %u %F", "/run/apache2", "/run/apache2/certificate.pem")
    seen = docker("exec", watched.container, *command).splitlines()
    assert seen == ["700 33 directory", "600 33 regular file"]


def test_a_dead_watcher_is_reported_and_replaced(
    orphaned: ApacheContainer, authority: Leaf
) -> None:
    """An Apache whose watcher is dead is unhealthy until the watcher is replaced."""
    reason = "the certificate watcher had stopped and was restarted"
    wait_for(lambda: orphaned.find_fault() == reason, "a red health", 60)
    wait_for(lambda: not orphaned.find_fault(), "a green health", 60)
    leaf = issue("localhost", authority)
    publish(orphaned.certificates, leaf.bundle)
    wait_for(lambda: orphaned.serial() == leaf.serial, "the new certificate", 60)


def test_image_has_no_set_user_id_program(image: str) -> None:
    """Nothing in the image can gain privileges."""
    command = ("find", "/", "-xdev", "-type", "f", "-perm", "/6000")
    done = try_docker("run", "--rm", "--user=0", "--entrypoint=", image, *command)
    assert (done.returncode, done.stdout) == (0, "")

"""One image, one network, one backend and a few containers, shared by all tests of Apache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from tests.apache.apache_container import HARDENING, ApacheContainer, Start, find_port_of, publish
from tests.apache.configuration import PROJECT, ApacheConfiguration, plan_domain, plan_trial
from tests.support.authority import Leaf, issue, trust
from tests.support.engine import docker
from tests.support.waiting import wait_for

HERE: Final = Path(__file__).parent
IMAGE: Final = HERE.parents[1] / "images" / "apache"


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """Build the image of the bundle."""
    docker("build", "--tag", PROJECT, str(IMAGE))
    yield PROJECT
    docker("image", "rm", PROJECT)


@pytest.fixture(scope="session")
def gateway() -> str:
    """Return the address from which containers see the host: the one that cloudflared has."""
    return plan_domain().tunnel_address


@pytest.fixture(scope="session")
def network(gateway: str) -> Iterator[str]:
    """Make a network in which the host is where cloudflared would be."""
    subnet = ip_network(f"{gateway}/24", strict=False)
    docker("network", "create", f"--subnet={subnet}", f"--gateway={gateway}", PROJECT)
    yield PROJECT
    docker("network", "rm", "--force", PROJECT)


@pytest.fixture(scope="session")
def backend_image() -> Iterator[str]:
    """Build the stand-in for Synapse."""
    docker("build", "--tag", f"{PROJECT}-backend", str(HERE / "backend"))
    yield f"{PROJECT}-backend"
    docker("image", "rm", f"{PROJECT}-backend")


@pytest.fixture(scope="session")
def backend(backend_image: str, network: str) -> Iterator[str]:
    """Start the stand-in under Synapse's name; the container's id."""
    where = ("--network", network, "--network-alias", "synapse")
    container = docker("run", "--detach", *where, backend_image)
    yield container
    docker("rm", "--force", container)


@pytest.fixture(scope="session")
def authority() -> Leaf:
    """Return the certificate authority that clients trust."""
    return issue("authority.test")


@pytest.fixture(scope="session")
def start(
    image: str, network: str, authority: Leaf, tmp_path_factory: pytest.TempPathFactory
) -> Start:
    """Return what starts an Apache with a configuration, and removes it afterwards."""

    @contextmanager
    def run(
        configuration: ApacheConfiguration,
        *arguments: str,
        ready: bool = True,
        **directives: str,
    ) -> Iterator[ApacheContainer]:
        folder = configuration.write(tmp_path_factory.mktemp("apache"), **directives)
        published = tmp_path_factory.mktemp("certificates")
        published.chmod(0o755)
        homeserver = configuration.homeserver
        if ready:
            publish(published, issue(homeserver, authority).bundle)
        mounts = (f"--volume={folder}:/etc/homeserver:ro", f"--volume={published}:/certificates:ro")
        options = (*HARDENING, *mounts, f"--env=HOMESERVER={homeserver}", f"--network={network}")
        container = docker(
            "run", "--detach", "--publish=127.0.0.1::443", *options, image, *arguments
        )
        front = ApacheContainer(
            container=container,
            port=find_port_of(container),
            homeserver=homeserver,
            certificates=published,
            context=trust(authority),
        )
        try:
            if ready:
                wait_for(lambda: not front.find_fault(), "a healthy Apache")
            yield front
        finally:
            docker("rm", "--force", container)

    return run


@pytest.fixture(scope="session")
def orphaned(start: Start) -> Iterator[ApacheContainer]:
    """Start an Apache and kill its watcher."""
    script = (
        "for folder in /proc/[0-9]*; do read -r name <$folder/comm;"
        " [[ $name != watch-cert* ]] || kill -KILL ${folder#/proc/}; done"
    )
    with start(plan_trial()) as front:
        docker("exec", front.container, "bash", "-c", script)
        yield front


@pytest.fixture(scope="session")
def domain(start: Start, backend: str, orphaned: ApacheContainer) -> Iterator[ApacheContainer]:
    """Start the domain's shape, in which the host has the address of cloudflared.

    `orphaned` is asked for because its health takes its time to turn, best while tests run.
    """
    with start(plan_domain()) as front:
        yield front


@pytest.fixture(scope="session")
def trial(start: Start, backend: str) -> Iterator[ApacheContainer]:
    """Start the trial's shape."""
    with start(plan_trial()) as front:
        yield front

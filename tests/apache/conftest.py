"""One image, one network, one backend and few containers, shared by all tests of Apache."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.apache.apache_container import HARDENING, Front, find_address, wait_for
from tests.apache.configuration import describe_domain, describe_trial, render_folder
from tests.support.authority import Leaf, issue, publish, trust
from tests.support.engine import docker, find_obstacle, is_required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Start = Callable[..., AbstractContextManager[Front]]

HERE = Path(__file__).parent
IMAGE = HERE.parents[1] / "images" / "apache"
RUN = f"apache-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip, or fail where an engine is required, when none answers."""
    if obstacle := find_obstacle():
        (pytest.fail if is_required() else pytest.skip)(obstacle)


@pytest.fixture(scope="session")
def image(engine: None) -> Iterator[str]:
    """Build the image of the bundle."""
    docker("build", "--tag", RUN, str(IMAGE), timeout=600)
    yield RUN
    docker("image", "rm", RUN)


@pytest.fixture(scope="session")
def network(engine: None) -> Iterator[str]:
    """Make a network; a host's request comes from its gateway."""
    docker("network", "create", RUN)
    yield RUN
    docker("network", "rm", "--force", RUN)


@pytest.fixture(scope="session")
def gateway(network: str) -> str:
    """Return the address from which containers see the host."""
    return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)


@pytest.fixture(scope="session")
def backend_image(engine: None) -> Iterator[str]:
    """Build the stand-in for Synapse."""
    docker("build", "--tag", f"{RUN}-backend", str(HERE / "backend"), timeout=600)
    yield f"{RUN}-backend"
    docker("image", "rm", f"{RUN}-backend")


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
    """Return what starts an Apache for a template context, and removes it afterwards."""

    @contextmanager
    def run(context: Mapping[str, Any], *, ready: bool = True, **replaced: str) -> Iterator[Front]:
        folder = render_folder(tmp_path_factory.mktemp("apache"), context, **replaced)
        published = tmp_path_factory.mktemp("certificates")
        published.chmod(0o755)
        homeserver = context["settings"].homeserver
        if ready:
            publish(published, issue(homeserver, authority).bundle)
        mounts = (f"--volume={folder}:/etc/homeserver:ro", f"--volume={published}:/certificates:ro")
        options = (*HARDENING, *mounts, f"--env=HOMESERVER={homeserver}", f"--network={network}")
        container = docker("run", "--detach", "--publish=127.0.0.1::443", *options, image)
        front = Front(
            container=container,
            address=find_address(container),
            homeserver=homeserver,
            certificates=published,
            trusting=trust(authority),
        )
        try:
            if ready:
                wait_for("a healthy Apache", lambda: not front.complain())
            yield front
        finally:
            docker("rm", "--force", container)

    return run


@pytest.fixture(scope="session")
def orphaned(start: Start) -> Iterator[Front]:
    """Start an Apache and kill its watcher."""
    script = (
        "for folder in /proc/[0-9]*; do read -r name <$folder/comm;"
        " [[ $name != watch-cert* ]] || kill -KILL ${folder#/proc/}; done"
    )
    with start(describe_trial()) as front:
        docker("exec", front.container, "bash", "-c", script)
        yield front


@pytest.fixture(scope="session")
def domain(start: Start, backend: str, gateway: str, orphaned: Front) -> Iterator[Front]:
    """Start the domain's shape, in which the host stands where cloudflared does.

    `orphaned` is asked for because its health takes its time to turn, best while tests run.
    """
    with start(describe_domain(gateway)) as front:
        yield front


@pytest.fixture(scope="session")
def trial(start: Start, backend: str) -> Iterator[Front]:
    """Start the trial's shape."""
    with start(describe_trial()) as front:
        yield front

"""What the measurements share: time, folders, sign-ins and the rival proxies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.bench.budget import Budget
from tests.support.engine import docker, try_docker
from tests.support.matrix import LOGIN, build_login
from tests.support.processes import run
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

RIVALS: Final = Path(__file__).with_name("rivals")
VERSIONS: Final = "/_matrix/client/versions"


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run of the bench."""

    budget: Budget
    rounds: int
    quick: bool
    megabytes: int
    folder: Path
    cache: Path


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A session of the administrator, and when it began (monotonic seconds)."""

    token: str
    since: str
    at: float


def sign_in(stack: Stack) -> SignIn:
    """Sign in with the password through Apache, and sync once, as a client does."""
    return open_session(stack, "admin", stack.secret("admin_password"))


def open_session(stack: Stack, user: str, password: str) -> SignIn:
    """Sign a user in and sync once."""
    login = build_login(user, password)
    token = expect(stack.ask("POST", LOGIN, body=login))["access_token"]
    first = expect(stack.ask("GET", "/_matrix/client/v3/sync?timeout=0", token=token))
    return SignIn(token=token, since=quote(first["next_batch"]), at=time.monotonic())


def expect(answer: Any) -> Any:
    """Return an answer's document; anything but 200 ends the bench."""
    if answer.status != 200:
        raise AssertionError(f"the server answered {answer.status}: {answer.body[:300]!r}")
    return answer.json


@contextmanager
def start_rival(name: str, network: str) -> Iterator[str]:
    """Run a rival proxy in a network where `synapse` is Synapse; yield its container's name."""
    container = f"bench-{name}-{os.getpid()}"
    docker("run", "--detach", "--rm", "--name", container, "--network", network,
         build_rival(name))  # fmt: skip
    try:
        wait_for(lambda: listens(container), f"{name} listens", patience=30)
        yield container
    finally:
        try_docker("rm", "--force", container)


def build_rival(name: str) -> str:
    """Build a rival's image; return its name."""
    image = f"synapse-bundle-bench/{name}:rival"
    docker("build", "--quiet", "--tag", image, str(RIVALS / name))
    return image


def listens(container: str) -> bool:
    """Whether a container accepts connections on port 443."""
    probe = ["docker", "exec", container, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/443"]
    return run(probe, check=False).returncode == 0

"""The same server by hand: the images on their own defaults, the recipe's virtual host in front."""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from synapse_bundle import images
from tests.bench.run_context import RIVALS, SignIn, build_rival, open_session
from tests.support.engine import try_docker
from tests.support.http import trust_any
from tests.support.ports import find_port
from tests.support.processes import run
from tests.support.stacks import Stack
from tests.support.waiting import PATIENCE, wait_for

CONFIGURATION: Final = "/data/homeserver.yaml"


@dataclass(kw_only=True)
class DefaultStack(Stack):
    """A homeserver without the bundle; Apache's certificate is self-signed."""

    password: str

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the rival's certificate."""
        return trust_any()

    def sign_in(self) -> SignIn:
        """Make the first account as Synapse's documentation says, and sign in."""
        self.compose("exec", "--no-TTY", "synapse", "register_new_matrix_user", "--user", "admin",
                     "--password", self.password, "--admin", "--config", CONFIGURATION,
                     "http://localhost:8008")  # fmt: skip
        return open_session(self, "admin", self.password)


@contextmanager
def run_default_stack(folder: Path) -> Iterator[DefaultStack]:
    """Run it, healthy, in a project of its own; remove every trace at the end."""
    stack = prepare(folder)
    try:
        run(["docker", "run", "--rm", "--volume", f"{stack.project}_media:/data",
             "--env", "SYNAPSE_SERVER_NAME=localhost", "--env", "SYNAPSE_REPORT_STATS=no",
             images.read_pins()["synapse"].reference, "generate"])  # fmt: skip
        stack.compose("up", "--detach")
        wait_for(lambda: answers(stack), "Synapse on its defaults answers", PATIENCE)
        yield stack
    finally:
        stack.down()
        try_docker("volume", "rm", "--force", f"{stack.project}_media")


def prepare(folder: Path) -> DefaultStack:
    """Write the Compose file, and what the recipe changes of Synapse's generated settings."""
    folder.mkdir(parents=True)
    password = secrets.token_urlsafe(24)
    stack = DefaultStack(
        directory=folder,
        project=f"bench-plain-{find_port()}",
        server_name="localhost",
        homeserver="localhost",
        https_port=find_port(),
        synapse_port=find_port(),
        password=password,
    )
    (folder / "recipe.yaml").write_text(yaml.safe_dump(point_to_database(password)))
    (folder / "compose.yaml").write_text(json.dumps(describe(stack)))
    return stack


def point_to_database(password: str) -> dict[str, Any]:
    """Return the one thing that the recipe changes in Synapse's settings."""
    arguments = {"user": "synapse_user", "password": password, "database": "synapse",
                 "host": "postgres", "cp_min": 1, "cp_max": 25}  # fmt: skip
    return {"database": {"name": "psycopg2", "args": arguments}}


def describe(stack: DefaultStack) -> dict[str, Any]:
    """Return the Compose model: nothing is set that could stay at its default."""
    pins = images.read_pins()
    database = {"POSTGRES_USER": "synapse_user", "POSTGRES_DB": "synapse",
                "POSTGRES_PASSWORD": stack.password,
                "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C"}  # fmt: skip
    media = {"type": "volume", "source": "media", "target": "/data"}
    recipe = {
        "type": "bind",
        "source": "./recipe.yaml",
        "target": "/recipe.yaml",
        "read_only": True,
    }
    return {
        "name": stack.project,
        "services": {
            "postgres": {"image": pins["postgres"].reference, "environment": database},
            "synapse": {
                "image": pins["synapse"].reference,
                "command": ["run", "-c", CONFIGURATION, "-c", "/recipe.yaml"],
                "volumes": [media, recipe],
                "ports": [f"127.0.0.1:{stack.synapse_port}:8008"],
                # Synapse ends where the database is not there yet.
                "restart": "unless-stopped",
            },
            "apache": {
                "image": build_rival("apache"),
                "build": str(RIVALS / "apache"),
                "ports": [f"127.0.0.1:{stack.https_port}:443"],
                "restart": "unless-stopped",
            },
        },
        "volumes": {"media": {"name": f"{stack.project}_media"}},
    }


def answers(stack: Stack) -> bool:
    """Whether Synapse answers through Apache."""
    try:
        return stack.ask("GET", "/_matrix/client/versions").status == 200
    except OSError:
        return False

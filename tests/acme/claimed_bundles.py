"""Whole servers behind a tunnel that claim their name in the fake internet, and copies of them."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.acme.acme_bundles import HOMESERVER, generate_bundle, hasten_probes
from tests.acme.internet import Internet
from tests.support.engine import docker
from tests.support.http import ask, connect_tls
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

RECORD: Final = f"_synapse-bundle.{HOMESERVER}"
VERSIONS: Final = "/_matrix/client/versions"
# What a restore fills, and what a copy of a machine's disk holds besides.
DATA: Final = ("postgres", "media")
DISK: Final = (*DATA, "certificates", "letsencrypt", "report", "claim")
# Seconds: a health check, and the restart of what it ended.
_CLOSED_WITHIN: Final = 60


@dataclass(frozen=True, kw_only=True)
class ClaimedBundle:
    """A running bundle with a claim."""

    stack: Stack
    internet: Internet

    def up(self) -> None:
        """Start it, without waiting: a copy that gives way is never healthy."""
        self.stack.compose("up", "--detach")

    def hold(self) -> None:
        """Wait until it holds the claim and is reached through its tunnel."""
        wait_for(lambda: self.find_state()["held"], f"{self.stack.project} holds the claim")
        wait_for(self.serves, f"{self.stack.project} serves")

    def serves(self) -> bool:
        """Say whether it is reached through its tunnel."""
        try:
            return self.stack.ask_through_tunnel("GET", VERSIONS).status == 200
        except OSError:
            return False

    def stand_down(self) -> None:
        """Wait until it gives way: no tunnel, 503 from Apache, and an unhealthy helper."""
        wait_for(lambda: not self.find_state()["held"], f"{self.stack.project} stands down")
        wait_for(lambda: not self.serves(), "the tunnel is closed", patience=_CLOSED_WITHIN)
        context = self.stack.trust()
        context.load_verify_locations(self.internet.trust)
        connection = connect_tls(self.stack.https_port, self.stack.homeserver, context)
        answer = ask(connection, "GET", VERSIONS)
        assert (answer.status, answer.json["errcode"]) == (503, "M_UNKNOWN")
        assert answer.headers["access-control-allow-origin"] == "*"

    def look_again(self) -> None:
        """Make the next reading of the record due, which would be in ten minutes at the latest."""
        (self.stack.directory / "secrets" / "dns_token").touch()

    def restore(self, *, epoch: int) -> None:
        """Give the data the identity that a restore gives it: a new id, and a higher epoch."""
        identity = secrets.token_hex(16)
        self.stack.compose("up", "--detach", "--wait", "postgres")
        table = "synapse_bundle_instance"
        statements = (
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS epoch bigint NOT NULL DEFAULT 1",
            f"UPDATE {table} SET id = '{identity}', epoch = {epoch}",  # noqa: S608
        )
        for statement in statements:
            self.query(statement)
        (self.stack.directory / "secrets" / "instance").write_text(f"{identity}\n")

    def query(self, statement: str) -> str:
        """Run a statement as PostgreSQL's superuser, and return what it printed."""
        password = f"export PGPASSWORD={self.stack.secret('postgres_password')}"
        script = f'{password}; psql -U postgres -v ON_ERROR_STOP=1 -At -c "{statement}"'
        return self.stack.compose("exec", "--no-TTY", "postgres", "sh", "-c", script).stdout.strip()

    def is_open(self) -> bool:
        """Say whether Synapse may use its database, and does."""
        return (
            self.query(
                "SELECT rolcanlogin AND EXISTS (SELECT FROM pg_stat_activity WHERE usename = rolname)"
                " FROM pg_roles WHERE rolname = 'synapse_user'"
            )
            == "t"
        )

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Take the helper off the internet, its resolver included."""
        container = self.stack.container("helper")
        docker("network", "disconnect", self.internet.network, container)
        try:
            yield
        finally:
            docker("network", "connect", self.internet.network, container)

    def find_state(self) -> dict[str, Any]:
        """Return what the helper's status says of the claim."""
        done = self.stack.ask_helper("cat", "/run/helper/claim.json")
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"held": None}

    def find_records(self) -> list[str]:
        """Return the texts of the claims in the zone."""
        records = self.internet.read_state()["records"]
        return [record["content"] for record in records if record["name"] == RECORD]

    def copy(self, folder: Path, name: str, volumes: tuple[str, ...] = DISK) -> ClaimedBundle:
        """Copy folder and volumes under another project, as another machine has them."""
        stack = generate_bundle(folder, name, self.internet, tunnel=True)
        hasten_probes(stack, "cloudflared")
        directory = stack.directory / "secrets"
        shutil.rmtree(directory)
        shutil.copytree(self.stack.directory / "secrets", directory)
        stack.generate()
        stack.compose("create")
        for volume in volumes:
            source, target = f"{self.stack.project}_{volume}", f"{stack.project}_{volume}"
            mounts = [f"--volume={source}:/source:ro", f"--volume={target}:/target"]
            image = stack.inspect("helper")["Image"]
            command = ["--user=0:0", "--entrypoint=cp", image, "-a", "/source/.", "/target"]
            docker("run", "--rm", *mounts, *command)
        return ClaimedBundle(stack=stack, internet=self.internet)

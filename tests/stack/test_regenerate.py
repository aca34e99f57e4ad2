"""Generating again changes what was asked for, and nothing else: no file, no container."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.stack.accounts import register
from tests.stack.lifetime import keep
from tests.support.matrix import escape
from tests.support.processes import run
from tests.support.stacks import REPOSITORY, Stack, change_source, copy_source, generate

pytestmark = pytest.mark.engine

SETTINGS: Final = """\
server_name: change.test
email: you@change.test
certificates: own-authority
"""
BEYOND: Final = 90 * 1024**2 + 1


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a bundle is at one moment: its files, and its containers by service."""

    files: dict[str, tuple[int, int]]
    containers: dict[str, str]
    starts: dict[str, str]

    def recreated(self, before: Snapshot) -> set[str]:
        """Return the services that have another container than before."""
        assert set(self.containers) == set(before.containers)
        return {s for s, container in self.containers.items() if container != before.containers[s]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A bundle behind a tunnel, healthy, from a checkout that a test may change."""
    source = copy_source(tmp_path_factory.mktemp("source"))
    folder = tmp_path_factory.mktemp("change")
    yield from keep(generate(folder, "change", SETTINGS, tunnel=True, source=source))


@pytest.fixture(scope="module", autouse=True)
def identity(bundle: Stack) -> Iterator[None]:
    """The signing key survives every change of these tests, on disk and on the wire."""
    before = (bundle.secret("signing.key"), read_keys(bundle))
    yield
    assert (bundle.secret("signing.key"), read_keys(bundle)) == before


def read_keys(stack: Stack) -> str:
    """Return the keys that a server signs with, as it publishes them."""
    return json.dumps(stack.ask("GET", "/_matrix/key/v2/server").json["verify_keys"])


def take_snapshot(stack: Stack) -> Snapshot:
    """Return what the bundle is now."""
    paths = [path for path in stack.directory.rglob("*") if path.name != ".lock"]
    containers = stack.inspect_all()
    return Snapshot(
        files={str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in paths},
        containers={service: container["Id"] for service, container in containers.items()},
        # Bootstrap proves the database again at every `up`.
        starts={s: c["State"]["StartedAt"] for s, c in containers.items() if s != "bootstrap"},
    )


def change_settings(stack: Stack, key: str, line: str) -> None:
    """Set one key of the settings file."""
    lines = [text for text in stack.settings.read_text().splitlines() if not text.startswith(key)]
    stack.settings.write_text("\n".join([*lines, line]) + "\n")


def regenerate(stack: Stack) -> set[str]:
    """Generate, start, and return the services whose containers are new."""
    before = take_snapshot(stack)
    stack.generate()
    stack.up()
    return take_snapshot(stack).recreated(before)


def expect_recreated(stack: Stack, *changed: str) -> None:
    """Generate and start: the named services are recreated, and no unrelated one.

    Compose itself recreates what depends on a container that it recreates.
    """
    services = json.loads(stack.compose("config", "--format", "json").stdout)["services"]
    allowed = set(changed)
    while more := {s for s in services if allowed & {*services[s].get("depends_on", {})}} - allowed:
        allowed |= more
    assert set(changed) <= regenerate(stack) <= allowed


def test_a_second_run_changes_nothing(bundle: Stack) -> None:
    """Generate and `up -d` again: every file, container and start is the one from before."""
    before = take_snapshot(bundle)
    assert len(before.files) > 30
    said = bundle.generate().stdout
    bundle.up()
    assert take_snapshot(bundle) == before
    assert not re.search(r"^(create|update|remove|conflict)\b", said, re.MULTILINE)


def test_a_contact_concerns_apache_alone(bundle: Stack) -> None:
    """A new support contact recreates Apache, which serves it."""
    change_settings(bundle, "support", "support: {email_address: help@change.test}")
    expect_recreated(bundle, "apache")
    contacts = bundle.ask("GET", "/.well-known/matrix/support").json["contacts"]
    assert [contact["email_address"] for contact in contacts] == ["help@change.test"]


def test_the_upload_limit_concerns_those_who_enforce_it(bundle: Stack) -> None:
    """A new max_upload_size recreates Apache, Synapse and the helper, and holds."""
    person = register(bundle)
    assert person.upload(bytes(BEYOND)).status == 413
    change_settings(bundle, "max_upload_size", "max_upload_size: 92M")
    expect_recreated(bundle, "apache", "synapse", "helper")
    assert person.upload(bytes(BEYOND)).status == 200


def test_memory_concerns_those_who_share_it(bundle: Stack) -> None:
    """More memory recreates PostgreSQL, Synapse and Apache, with higher limits."""
    before = {s: bundle.inspect(s)["HostConfig"]["Memory"] for s in ("postgres", "synapse")}
    change_settings(bundle, "memory", "memory: 3G")
    expect_recreated(bundle, "postgres", "synapse", "apache")
    for service, limit in before.items():
        assert bundle.inspect(service)["HostConfig"]["Memory"] > limit


def test_an_override_of_synapse_concerns_synapse_alone(bundle: Stack) -> None:
    """A key in homeserver.override.yaml recreates Synapse, which follows it; the file stays."""
    override = bundle.directory / "synapse" / "homeserver.override.yaml"
    text = "enable_registration: true\nenable_registration_without_verification: true\n"
    override.write_text(text)
    expect_recreated(bundle, "synapse")
    assert override.read_text() == text
    assert bundle.ask("POST", "/_matrix/client/v3/register", body={}).status == 401


def test_a_changed_image_is_built_by_a_plain_up(bundle: Stack) -> None:
    """A changed image context has a tag of its own, so that `up -d` builds and runs it."""
    before = bundle.inspect("apache")["Config"]["Image"]
    change_source(bundle.source / "images" / "apache" / "healthcheck")
    expect_recreated(bundle, "apache")
    after = bundle.inspect("apache")["Config"]["Image"]
    assert after != before
    script = ["cat", "/usr/local/lib/homeserver/healthcheck"]
    running = bundle.compose("exec", "--no-TTY", "apache", *script).stdout
    assert running == (bundle.directory / "images" / "apache" / "healthcheck").read_text()


def test_a_changed_helper_is_built_for_both_of_its_services(bundle: Stack) -> None:
    """A changed helper runs as the helper and as bootstrap, and is not built again."""
    change_source(bundle.source / "images" / "helper" / "bundle_helper" / "__init__.py")
    expect_recreated(bundle, "helper", "bootstrap")
    images = {bundle.inspect(service)["Image"] for service in ("helper", "bootstrap")}
    assert len(images) == 1
    assert regenerate(bundle) == set()


def test_a_rotated_database_password_is_the_only_one_that_opens(bundle: Stack) -> None:
    """After deleting the secret the server works with a new one, and the old one is refused."""
    person = register(bundle)
    room = person.create_room()
    old = bundle.secret("synapse_database_password")
    (bundle.directory / "secrets" / "synapse_database_password").unlink()
    expect_recreated(bundle, "synapse", "bootstrap")
    new = bundle.secret("synapse_database_password")
    assert new != old
    assert person.send(room, "still here")
    assert "still here" in person.read(room)
    assert person.call("GET", f"/rooms/{escape(room)}/state")
    assert (log_in(bundle, old), log_in(bundle, new)) == (False, True)
    assert bundle.check().returncode == 0


def log_in(stack: Stack, password: str) -> bool:
    """Return whether PostgreSQL accepts the role's password."""
    script = ["env", f"PGPASSWORD={password}", "psql", "-h", "127.0.0.1", "-U", "synapse_user"]
    query = [*script, "-d", "synapse", "-Atc", "SELECT 1"]
    done = stack.compose("exec", "--no-TTY", "postgres", *query, check=False)
    assert done.returncode == 0 or "password authentication failed" in done.stderr
    return done.returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a generated bundle in it, as `make generate` leaves one."""
    (tmp_path / "compose.yaml").write_bytes((REPOSITORY / "compose.yaml").read_bytes())
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    trial = Stack(
        directory=tmp_path / "bundle",
        settings=tmp_path / "settings.yaml",
        project="homeserver",
        server_name="change.test",
        homeserver="matrix.change.test",
        https_port=0,
        synapse_port=0,
    )
    trial.generate()
    return tmp_path


def read_hashes(directory: Path) -> list[str]:
    """Return what Compose identifies each service by, seen from a directory."""
    return sorted(
        run(["docker", "compose", "config", "--hash", "*"], cwd=directory).stdout.splitlines()
    )


def read_project(directory: Path) -> str:
    """Return the project's name as Compose sees it from a directory."""
    model = run(["docker", "compose", "config", "--format", "json"], cwd=directory).stdout
    return str(json.loads(model)["name"])


def test_the_checkout_and_the_bundle_are_one_project(checkout: Path) -> None:
    """`docker compose` beside the bundle and inside it mean the same containers, overrides too."""
    before = read_hashes(checkout)
    assert len(before) == 5
    assert before == read_hashes(checkout / "bundle") == read_hashes(checkout / "bundle/synapse")
    override = "services: {apache: {environment: {TZ: Europe/Berlin}}}\n"
    (checkout / "bundle" / "compose.override.yaml").write_text(override)
    after = read_hashes(checkout)
    assert after == read_hashes(checkout / "bundle")
    changed = {line.split()[0] for line in set(after) ^ set(before)}
    assert changed == {"apache"}
    assert read_project(checkout) == read_project(checkout / "bundle") == "homeserver"

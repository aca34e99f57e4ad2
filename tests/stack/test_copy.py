"""The folder is the server: packed and unpacked elsewhere, it is the same homeserver."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.stack.accounts import register
from tests.stack.lifetime import keep
from tests.support.engine import try_docker
from tests.support.matrix import LOGIN, build_login
from tests.support.processes import run
from tests.support.stacks import Stack, copy_source, generate

pytestmark = pytest.mark.engine

SETTINGS: Final = """\
server_name: travel.test
email: you@travel.test
certificates: own-authority
admin: traveller
"""
# A user that no container knows.
STRANGER: Final = 4242


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A bundle that was never started, with images that were never built."""
    source = copy_source(tmp_path_factory.mktemp("source"))
    return generate(tmp_path_factory.mktemp("home"), "travel", SETTINGS, source=source)


@pytest.fixture(scope="module")
def signing_key(original: Stack) -> str:
    """The name of the original's signing key."""
    return "ed25519:" + original.secret("signing.key").split()[1]


@pytest.fixture(scope="module")
def unpacked(
    original: Stack, signing_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The same folder after a journey in a tar archive; the original is deleted."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    archive = elsewhere / "bundle.tar"
    owner = [f"--owner={STRANGER}", f"--group={STRANGER}", "--numeric-owner"]
    home = original.directory.parent
    run(["tar", "--create", *owner, "--file", str(archive), "--directory", str(home), "bundle"])
    shutil.rmtree(home)
    shutil.rmtree(original.source)
    run(["tar", "--extract", "--file", str(archive), "--directory", str(elsewhere)])
    with tarfile.open(archive) as packed:
        assert {member.uid for member in packed} == {STRANGER}
    original.directory = elsewhere / "bundle"
    own = [i for i in original.compose("config", "--images").stdout.split() if "bundle/" in i]
    assert len(set(own)) == 2
    for image in own:
        assert try_docker("image", "inspect", image).returncode == 1
    yield from keep(original)


def test_its_images_come_from_the_folder_alone(unpacked: Stack) -> None:
    """The own images, which the engine did not have, were built from what the archive carried."""
    for service, path, inside in (
        ("apache", "healthcheck", "/usr/local/lib/homeserver/healthcheck"),
        (
            "helper",
            "bundle_helper/cli.py",
            "/opt/helper/lib/python3*/site-packages/bundle_helper/cli.py",
        ),
    ):
        carried = unpacked.directory / "images" / service / path
        built = unpacked.compose("exec", "--no-TTY", service, "sh", "-c", f"cat {inside}").stdout
        assert built == carried.read_text()


def test_the_copy_is_the_same_server(unpacked: Stack, signing_key: str) -> None:
    """The copy has the server name and the signing key of the original."""
    document = unpacked.ask("GET", "/_matrix/key/v2/server").json
    assert document["server_name"] == "travel.test"
    assert list(document["verify_keys"]) == [signing_key]
    well_known = unpacked.ask("GET", "/.well-known/matrix/server").json
    assert well_known == {"m.server": "matrix.travel.test:443"}


def test_every_check_holds_on_the_copy(unpacked: Stack) -> None:
    """`check` finds nothing wrong on the machine that the folder came to."""
    checked = unpacked.check()
    report = json.loads(checked.stdout)
    assert [row for row in report["checks"] if not row["ok"]] == []
    assert checked.returncode == 0


def test_people_use_the_copy(unpacked: Stack) -> None:
    """The administrator's password opens the copy, and rooms and files work there."""
    body = build_login("traveller", unpacked.secret("admin_password"))
    answer = unpacked.ask("POST", LOGIN, body=body)
    assert (answer.status, answer.json["user_id"]) == (200, "@traveller:travel.test")
    person = register(unpacked)
    room = person.create_room()
    person.send(room, "arrived")
    assert "arrived" in person.read(room)
    assert person.upload(bytes(1_000_000)).status == 200


def test_its_data_travels_as_its_readme_says(unpacked: Stack) -> None:
    """The commands under "Moving", typed as they are, bring rooms and files to empty volumes."""
    person = register(unpacked)
    room = person.create_room()
    person.send(room, "before the journey")
    moving = (unpacked.directory / "README.md").read_text().partition("## Moving")[2]
    blocks = re.findall(r"(?m)(?:^    .+\n)+", moving.partition("\n## ")[0])
    leave, arrive = (textwrap.dedent(block) for block in blocks)
    unpacked.build("--profile", "tools")
    run(["/bin/sh", "-ec", leave], cwd=unpacked.directory)
    unpacked.down()
    left = ["docker", "volume", "ls", "--quiet", "--filter", f"name={unpacked.project}_"]
    assert run(left).stdout == ""
    run(["/bin/sh", "-ec", arrive], cwd=unpacked.directory)
    unpacked.up()
    assert "before the journey" in person.read(room)


def test_the_folder_alone_starts_nothing(unpacked: Stack) -> None:
    """With empty volumes it is refused, until the operator types that its data is given up."""
    unpacked.down()
    refused = unpacked.compose("up", "--detach", check=False)
    assert refused.returncode
    assert "the volumes here are empty" in unpacked.compose("logs", "bootstrap").stdout
    assert "synapse" not in unpacked.compose("ps", "--services").stdout.split()
    again = ["docker", "compose", "run", "--rm", "bootstrap", "start-empty", "travel.test"]
    run(again, cwd=unpacked.directory)
    unpacked.up()
    assert unpacked.check().returncode == 0


def test_secrets_stay_private_on_the_way(unpacked: Stack) -> None:
    """Unpacking keeps the directory of the secrets closed to other users."""
    directory: Path = unpacked.directory / "secrets"
    assert directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    # The bootstrap writes the server's id, in a directory that is closed to other users.
    assert modes.pop("instance") == 0o666
    assert set(modes.values()) == {0o444}

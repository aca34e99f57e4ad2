"""The image of backup and restore: the server's own programs, restic, and the helper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from synapse_bundle import images, topology
from tests.support.engine import docker, try_docker

CONTEXT: Final = Path(__file__).parents[2] / "images" / "helper"
# A user that no image has a name for, as the owner of a folder may be.
STRANGER: Final = 54321

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def postgres() -> str:
    """The image that the database runs in."""
    return images.read_pins()["postgres"].reference


@pytest.fixture(scope="module")
def image(postgres: str) -> str:
    """Build the stage as compose.yaml does."""
    argument = f"POSTGRES_IMAGE={postgres}"
    return docker("build", "--quiet", "--target", "backup", "--build-arg", argument, str(CONTEXT))


def run(image: str, *command: str, user: int = STRANGER, name: str = "") -> tuple[int, str]:
    """Run a command on a read-only root, without network and capabilities."""
    program, *arguments = command
    done = try_docker(
        *("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("--user", f"{user}:{user}", "--entrypoint", program, "--tmpfs", "/run/backup:mode=1777"),
        *("--tmpfs", f"{topology.POSTGRES.declared_volume}:size=4k"),
        *(["--env", "LD_PRELOAD=libnss_wrapper.so"] if name else []),
        *(["--env", "NSS_WRAPPER_PASSWD=/run/backup/passwd"] if name else []),
        *(["--env", "NSS_WRAPPER_GROUP=/run/backup/group"] if name else []),
        *(image, *arguments),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["pg_dump", "pg_restore", "initdb", "postgres"])
def test_the_programs_are_those_of_the_server(image: str, postgres: str, program: str) -> None:
    """The database is dumped and restored by the very version that it runs in."""
    server = docker("run", "--rm", "--entrypoint", program, postgres, "--version")
    assert run(image, program, "--version") == (0, f"{server}\n")


def test_restic_and_the_helper_run(image: str) -> None:
    """As a user without a name, writing nothing."""
    code, said = run(image, "restic", "version")
    assert (code, said.split()[0]) == (0, "restic")
    assert run(image, "bundle-helper", "--help")[0] == 0
    assert run(image, "python3", "-c", "import bundle_helper, psycopg") == (0, "")


def test_ssh_runs_for_a_user_without_a_name(image: str) -> None:
    """OpenSSH refuses a user that the system does not know; the wrapper gives one a name."""
    assert "No user exists" in run(image, "ssh", "-G", "host")[1]
    script = (
        f"echo 'group:x:{STRANGER}:' > $NSS_WRAPPER_GROUP;"
        f"echo 'owner:x:{STRANGER}:{STRANGER}::/run/backup:/bin/false' > $NSS_WRAPPER_PASSWD;"
        "ssh -G host"
    )
    code, said = run(image, "sh", "-c", script, name="owner")
    assert code == 0, said
    assert "user owner" in said


def test_no_file_makes_another_user(image: str) -> None:
    """The service becomes the folder's owner by a capability, and nothing can lead back."""
    search = "find / -xdev -type f -perm /6000 2>/dev/null; exit 0"
    assert run(image, "sh", "-c", search, user=0) == (0, "")


def test_a_build_without_a_target_is_still_the_helper() -> None:
    """The last stage is the helper, which needs no build argument and has no program of backups."""
    helper = docker("build", "--quiet", str(CONTEXT))
    (found,) = json.loads(docker("image", "inspect", helper))
    assert found["Config"]["User"] == f"{topology.HELPER.uid}:{topology.HELPER.uid}"
    assert not found["Config"].get("Volumes")
    assert run(helper, "sh", "-c", "command -v restic pg_dump ssh; exit 0") == (0, "")

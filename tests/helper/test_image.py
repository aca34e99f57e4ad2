"""The image runs as anybody, writes nothing, and holds nothing that it does not need."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

CONTEXT = Path(__file__).parents[2] / "images" / "helper"
PLUGIN = Path(__file__).with_name("plugin.py")


@pytest.fixture(scope="session")
def image() -> str:
    """Build the image from the folder alone."""
    command = ["docker", "build", "--quiet", str(CONTEXT)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(image: str, *arguments: str, entrypoint: str = "bundle-helper") -> tuple[int, str]:
    """Run a command in the image as an unknown user, without a home, on a read-only root."""
    answer = subprocess.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
            *("--user", "54321:54321", "--env", "HOME=/nonexistent"),
            *("--entrypoint", entrypoint, image, *arguments),
        ],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return answer.returncode, answer.stdout


@pytest.mark.engine
@pytest.mark.parametrize("command", ["bootstrap", "run", "check"])
def test_every_command_starts_and_lists_what_it_lacks(image: str, command: str) -> None:
    """As any user the commands start and end with the list of missing variables."""
    code, said = run(image, command)
    assert code == 2, said
    assert said.count(" is missing") >= 8
    assert "Traceback" not in said


@pytest.mark.engine
def test_check_and_health_are_reached_by_name(image: str) -> None:
    """`check` and the health check start through the names that compose.yaml uses."""
    assert run(image, "--help", entrypoint="check")[0] == 0
    code, said = run(image, "-m", "bundle_helper.health", entrypoint="python3")
    assert (code, said) == (1, "unhealthy: STATE_DIRECTORY is not set\n")


@pytest.mark.engine
def test_the_image_holds_neither_compiler_nor_installer_nor_setuid_file(image: str) -> None:
    """What could build, install or become another user is not there."""
    search = (
        "command -v gcc cc make pip pip3; "
        "find / -xdev -type f -perm /6000 2>/dev/null; find /opt/helper -name pip -o -name 'pip-*'; exit 0"
    )
    assert run(image, "-c", search, entrypoint="sh") == (0, "")


@pytest.mark.engine
def test_every_library_is_there_for_the_image_s_python(image: str) -> None:
    """All modules import in the image, byte code included, so that nothing is compiled at start."""
    code = (
        "import pathlib, importlib, bundle_helper as b\n"
        "root = pathlib.Path(b.__file__).parent\n"
        "for path in sorted(root.rglob('*.py')):\n"
        "    parts = path.relative_to(root.parent).with_suffix('').parts\n"
        "    module = importlib.import_module('.'.join(p for p in parts if p != '__init__'))\n"
        "    assert pathlib.Path(module.__cached__).exists(), path\n"
    )
    assert run(image, "-c", code, entrypoint="python3") == (0, "")


@pytest.mark.engine
def test_of_cloudflare_s_sdk_only_what_the_plugin_reaches_is_there(image: str) -> None:
    """Certbot's plugin works, its errors too; what it never imports takes no space."""
    code, said = run(image, "-c", PLUGIN.read_text(), entrypoint="python3")
    assert code == 0, said
    assert said == "wrote and removed a record\n" + "told an error\n" * 8 + "nothing surplus\n"


@pytest.mark.engine
def test_what_builds_the_package_does_not_ship(image: str) -> None:
    """The image holds the helper's metadata and console scripts, but not what made them."""
    code = (
        "import importlib.metadata as m\n"
        "(plugin,) = m.entry_points(group='certbot.plugins', name='dns-bundle')\n"
        "assert plugin.load().__module__ == 'bundle_helper.certificates.authenticator'\n"
        "names = {d.metadata['Name'].lower() for d in m.distributions()}\n"
        "assert 'bundle-helper' in names\n"
        "assert not names & {'hatchling', 'pathspec', 'trove-classifiers', 'wheel'}, names\n"
    )
    assert run(image, "-c", code, entrypoint="python3") == (0, "")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_the_lock_pins_every_requirement_by_hash_and_names_no_place(name: str) -> None:
    """Each line of the lock is an exact version with hashes; no index, link or path is in it."""
    lock = (CONTEXT / name).read_text()
    requirements = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s+#.*\n", "", lock).strip())
    assert all(re.match(r"[a-z0-9-]+==\S+ ", line) for line in requirements)
    assert all("--hash=sha256:" in line for line in requirements)
    assert not re.search(r"://|--index|--find-links|--extra|/(home|root|tmp|work)", lock)


def test_every_library_asked_for_is_imported() -> None:
    """pyproject.toml names what the package imports, and nothing else."""
    project = tomllib.loads((CONTEXT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"\[", name)[0] for name in project["dependencies"]}
    sources = "\n".join(path.read_text() for path in CONTEXT.rglob("*.py"))
    imported = set(re.findall(r"(?m)^\s*(?:from|import) ([a-z0-9_]+)", sources))
    modules = {"certbot-dns-cloudflare": "certbot_dns_cloudflare", "dnspython": "dns"}
    assert {modules.get(name, name) for name in wanted} <= imported

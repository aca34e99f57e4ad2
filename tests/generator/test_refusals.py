"""What the system refuses is one line that names the file, and never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = [sys.executable, "-m", "synapse_bundle"]
# Root reads everything; without these capabilities it is a user like any other.
DROPPED = "--bounding-set=-dac_override,-dac_read_search"
AS_USER = [shutil.which("setpriv") or "setpriv", DROPPED] if os.geteuid() == 0 else []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory to work in."""
    return tmp_path


def run(
    directory: Path,
    *arguments: str,
    stdout: int | None = subprocess.PIPE,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user who may not read everything, on a machine without Docker."""
    common = {"PATH": "/nonexistent", "HOME": str(directory)}
    done = subprocess.run(
        [*AS_USER, *MODULE, *arguments],
        cwd=directory,
        env=os.environ | common | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refuse(directory: Path, *arguments: str, **options: Any) -> str:
    """Run `generate` in vain; return the one line that says why."""
    done = run(directory, "generate", *arguments, **options)
    assert done.returncode in (1, 2), (done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_name_that_is_too_long(directory: Path) -> None:
    """A file system takes 255 bytes."""
    assert "File name too long" in refuse(directory, "--output", "x" * 256)


def test_a_directory_that_may_not_be_entered(directory: Path) -> None:
    """Neither below a directory without x nor in a bundle of that kind."""
    (directory / "closed").mkdir(mode=0o600)
    assert "Permission denied" in refuse(directory, "--output", "closed/bundle")
    assert run(directory, "generate").returncode == 0
    (directory / "bundle").chmod(0o600)
    assert "Permission denied" in refuse(directory)


def test_a_working_directory_that_is_gone(directory: Path) -> None:
    """A relative --output leads nowhere then."""
    (directory / "gone").mkdir()
    script = 'cd gone && /bin/rmdir ../gone && exec "$0" -m synapse_bundle generate'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        cwd=directory,
        env=os.environ | {"HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1:] == [
        "Error: the current directory no longer exists; cd to one that does"
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["compose.yaml", "compose.override.yaml", ".manifest.json"])
def test_a_file_that_may_not_be_read(directory: Path, name: str) -> None:
    """The file is named; nothing is guessed about its content."""
    assert run(directory, "generate").returncode == 0
    (directory / "bundle" / name).chmod(0o000)
    assert f"bundle/{name}: Permission denied" in refuse(directory)


def test_secrets_that_may_not_be_read(directory: Path) -> None:
    """One line about the directory, not one for each secret."""
    assert run(directory, "generate").returncode == 0
    (directory / "bundle/secrets").chmod(0o000)
    assert "bundle/secrets cannot be read; run as its owner" in refuse(directory)


def test_a_neighbour_that_is_not_text(directory: Path) -> None:
    """A compose.yaml above that is not UTF-8 says nothing about this bundle."""
    (directory / "compose.yaml").write_bytes(b"\xff\xfe name: caf\xe9\n")
    assert run(directory, "generate").returncode == 0


def test_an_output_that_takes_nothing(directory: Path) -> None:
    """Standard output on a full disk: said once, on the other channel, and nothing is written."""
    with Path("/dev/full").open("w") as full:
        for arguments in (["generate"], ["--help"]):
            done = run(directory, *arguments, stdout=full.fileno())
            assert done.returncode == 1
            assert done.stderr == "Error: standard output: No space left on device\n"
    assert not (directory / "bundle").exists()


def test_no_place_for_temporary_files(directory: Path) -> None:
    """Nothing needs one: Compose reads a draft from its standard input."""
    (directory / "bin").mkdir()
    docker = directory / "bin/docker"
    docker.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*config*) /bin/cat > read ;;\n"
        "*compose*) echo 2.40.3 ;;\n"
        "*) echo 29.0.0 ;;\n"
        "esac\n"
    )
    docker.chmod(0o755)
    done = run(directory, "generate", PATH=str(docker.parent), TMPDIR="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert (directory / "read").read_bytes() == (directory / "bundle/compose.yaml").read_bytes()


def test_a_home_that_does_not_exist_is_not_made(directory: Path) -> None:
    """The cache of templates is a help; without a place for it the run is slower, that is all."""
    home = directory / "home"
    done = run(directory, "generate", HOME=str(home), XDG_CACHE_HOME="")
    assert done.returncode == 0, done.stderr
    done = run(directory, "generate", HOME="~", XDG_CACHE_HOME="relative")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in directory.iterdir()] == ["bundle"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_cache_that_is_full(directory: Path) -> None:
    """A full home does not keep a bundle from being written elsewhere."""
    cache = directory / "cache"
    cache.mkdir()
    script = (
        '/bin/mount -t tmpfs -o size=4k,mode=0700 none "$1" && /bin/mkdir "$1/synapse-bundle" &&'
        ' shift && exec "$@" -m synapse_bundle generate'
    )
    command = ["unshare", "--mount", "/bin/sh", "-c", script, "-", str(cache), sys.executable]
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert (directory / "bundle/compose.yaml").exists()

"""The wheel carries everything it needs, and nothing that lies about in a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CARRIED = ("generator/synapse_bundle", "compose", "images")


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows, with git-ignored litter of a working checkout beside it."""
    copy = tmp_path_factory.mktemp("checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        if (repository / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, copy / name)
    (copy / "images/helper/.env").write_text("TOKEN=secret\n")
    (copy / "images/helper/bundle_helper/__pycache__").mkdir(exist_ok=True)
    (copy / "images/helper/bundle_helper/__pycache__/x.pyc").write_text("")
    (copy / "settings.yaml").write_text("admin: alice\n")
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    """The wheel as an index gets it: by way of the source distribution."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", "dist", "."], cwd=checkout, check=True,
                   capture_output=True)  # fmt: skip
    return next((checkout / "dist").glob("*.whl"))


def test_wheel_holds_the_trees_and_no_litter(checkout: Path, wheel: Path) -> None:
    """Templates and image contexts travel in the wheel; git-ignored files never do."""
    ignored = (".env", "__pycache__", ".pyc")
    expected = {
        path.relative_to(checkout).as_posix()
        for tree in CARRIED
        for path in (checkout / tree).rglob("*")
        if path.is_file() and not any(mark in str(path) for mark in ignored)
    }
    packed = {
        name.replace("synapse_bundle/_assets/", "") if "_assets" in name else f"generator/{name}"
        for name in zipfile.ZipFile(wheel).namelist()
        if ".dist-info" not in name
    }
    assert packed == expected


def test_installed_wheel_generates_outside_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """`uvx synapse-bundle generate` works: the same bundle as from a checkout."""
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site),
                    str(wheel)], check=True, capture_output=True)  # fmt: skip
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from synapse_bundle.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "generate"], cwd=tmp_path, check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundle/compose.yaml").is_file()
    assert (tmp_path / "bundle/images/helper/Dockerfile").is_file()
    assert not (tmp_path / "bundle/images/helper/.env").exists()

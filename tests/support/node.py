"""Node.js and what npm brings: what keeps a test from using them, and packages, installed once."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final, NoReturn

import pytest

from tests.support.engine import is_required
from tests.support.processes import run

CACHE: Final = Path(__file__).resolve().parents[2] / ".node"
PACKAGES: Final = ("package.json", "package-lock.json")
# The first with Request, Response and fetch of its own.
OLDEST: Final = 18


def is_installed() -> bool:
    """Return whether this machine has a Node.js at all."""
    return shutil.which("node") is not None


def find_obstacle(oldest: int = OLDEST) -> str | None:
    """Return in one line why no module can be imported here; None when one can."""
    if not is_installed():
        return "no node command is installed"
    version = run(["node", "--version"], check=False, timeout=30).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if not major or int(major[1]) < oldest:
        return f"node is {version or 'out of order'}, and {oldest} is needed"
    return None


def give_up(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be skipped; a machine without Node.js may always skip."""
    if is_required() and is_installed():
        pytest.fail(reason)
    pytest.skip(reason)


def install(folder: Path) -> Path:
    """Return where the packages are that a folder's lock file names; npm installs them once.

    Raises RuntimeError that says in one line why there are none.
    """
    if shutil.which("npm") is None:
        msg = "no npm command is installed"
        raise RuntimeError(msg)
    locked = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    installed = CACHE / f"{folder.name}-{locked[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            _install(folder, installed)
    return installed


def _install(folder: Path, installed: Path) -> None:
    # Renamed when it is whole: a run that is killed leaves nothing that looks installed.
    with tempfile.TemporaryDirectory(dir=CACHE) as staging:
        staged = Path(staging, "packages")
        staged.mkdir()
        for name in PACKAGES:
            shutil.copy(folder / name, staged)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = run(command, cwd=staged, check=False, timeout=300)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            msg = f"npm could not install what {folder.name} needs: {' '.join(said[:1])}"
            raise RuntimeError(msg)
        staged.rename(installed)

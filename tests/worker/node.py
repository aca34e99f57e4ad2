"""Node.js and what npm brings: what keeps a test from using them, and workerd, installed once."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from tests.support.processes import run

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".node"
PACKAGES: Final = ("package.json", "package-lock.json")
# The first with Request, Response and fetch of its own.
OLDEST: Final = 18


def is_installed() -> bool:
    """Return whether this machine has a Node.js at all."""
    return shutil.which("node") is not None


def find_obstacle() -> str | None:
    """Return in one line why no module can be imported here; None when one can."""
    if not is_installed():
        return "no node command is installed"
    version = run(["node", "--version"], check=False, timeout=30).stdout.strip()
    major = re.match(r"v(\d+)\.", version)
    if not major or int(major[1]) < OLDEST:
        return f"node is {version or 'out of order'}, and {OLDEST} is needed"
    return None


def install_workerd() -> Path:
    """Return the workerd program; npm installs it where this checkout has none of this version.

    Raises RuntimeError that says in one line why there is none.
    """
    if shutil.which("npm") is None:
        msg = "no npm command is installed"
        raise RuntimeError(msg)
    locked = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    installed = CACHE / f"workerd-{locked[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            _install(installed)
    return Path(_ask_for_program(installed))


def _install(installed: Path) -> None:
    # Renamed when it is whole: a run that is killed leaves nothing that looks installed.
    with tempfile.TemporaryDirectory(dir=CACHE) as staging:
        folder = Path(staging, "packages")
        folder.mkdir()
        for name in PACKAGES:
            shutil.copy(HERE / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = run(command, cwd=folder, check=False, timeout=300)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            msg = f"npm could not install workerd: {' '.join(said[:1])}"
            raise RuntimeError(msg)
        folder.rename(installed)


def _ask_for_program(installed: Path) -> str:
    # The platform's own program: npm's command is a script that starts it as a child.
    command = ["node", "--print", "require('workerd').default"]
    done = run(command, cwd=installed, check=False, timeout=30)
    if done.returncode:
        msg = "workerd has no program for this machine"
        raise RuntimeError(msg)
    return done.stdout.strip()

"""The commands as the container runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundle_helper.backup import command_group

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = str(Path(command_group.__file__).parents[2])
_MAIN = "from bundle_helper.cli import main; main()"
# Without these, root may read no more than anybody else.
_CAPABILITIES = "-dac_override,-dac_read_search"


def start_command(
    environ: Mapping[str, str],
    *arguments: str,
    stdout: int = subprocess.PIPE,
    code: str = "",
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start `bundle-helper backup …` as a user who may read only what is theirs; `code` runs before."""
    restrict = ["setpriv", f"--bounding-set={_CAPABILITIES}"] if os.geteuid() == 0 else []
    return subprocess.Popen(
        [*restrict, sys.executable, "-c", f"{code}\n{_MAIN}", "backup", *arguments],
        env={**environ, "PATH": os.environ["PATH"], "PYTHONPATH": _PACKAGES},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(
    environ: Mapping[str, str], *arguments: str, code: str = "", given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `bundle-helper backup …` to its end, with `given` as its standard input."""
    with start_command(environ, *arguments, code=code, stdin=subprocess.PIPE) as process:
        printed, said = process.communicate(given, timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def make_unreadable(path: Path) -> None:
    """Take away the right to read, also from root without its capabilities."""
    if os.geteuid() == 0:
        shutil.chown(path, 12345, 12345)
    path.chmod(0)

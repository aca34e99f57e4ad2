"""The bundle's containers, as far as a retirement needs them: stopped, started, asked, removed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from .. import docker_command, engine
from ..errors import BundleError

# By which clients and other servers come in.
_DOOR: Final = frozenset({"apache", "cloudflared"})
# Makes sets by a timetable: one of a server without accounts would be the newest.
_BACKUP: Final = "backup"
# What the names of the accounts that the helper makes for itself begin with.
_OWN_ACCOUNTS: Final = "@synapse-bundle-"


@dataclass(frozen=True, kw_only=True)
class ServerContainers:
    """The containers of one bundle; every method raises BundleError if Docker fails."""

    bundle: Path

    def is_running(self) -> bool:
        """Return whether Synapse runs on this machine."""
        listed = docker_command.ask(*self._compose("ps", "--services", "--status", "running"))
        return "synapse" in listed.split()

    def stop_door(self) -> None:
        """Stop what lets clients and other servers in, and what makes sets by itself."""
        self._run("stop", *sorted(self._list_services() & {*_DOOR, _BACKUP}))

    def stop_synapse(self) -> None:
        """Stop Synapse's processes, which leaves their memory and addresses to another one."""
        self._run("stop", *sorted(each for each in self._list_services() if _is_synapse(each)))

    def start_inside(self) -> None:
        """Start everything but the door and backups, and wait until it is healthy."""
        chosen = sorted(self._list_services() - {*_DOOR, _BACKUP})
        self._run("up", "--detach", "--wait", *chosen)

    def open_door(self) -> None:
        """Let other servers in again; whether Cloudflare answers is not waited for."""
        self._run("up", "--detach", *sorted(self._list_services() - {_BACKUP}))

    def remove(self) -> None:
        """Remove containers and networks; volumes stay."""
        self._run("down", "--remove-orphans")

    def ask_helper(self, *arguments: str, given: str = "") -> None:
        """Run a command in the helper, with `given` as standard input; its output is the operator's."""
        self._run("exec", "--no-TTY", "helper", *arguments, given=given)

    def list_users(self) -> list[str]:
        """Return the ids of the accounts that can sign in, but for the bundle's own."""
        listed = self._read("exec", "--no-TTY", "helper", "user", "list")
        ids = [line.split()[0] for line in listed.splitlines() if line.startswith("@")]
        return [each for each in ids if not each.startswith(_OWN_ACCOUNTS)]

    def run_backup(self, *arguments: str) -> None:
        """Run a command of `backup` in a container of its own."""
        self._run("run", "--rm", "--no-TTY", _BACKUP, *arguments)

    def find_newest_set(self) -> str:
        """Return the name of the newest set; BundleError if there is none."""
        listed = self._read("run", "--rm", "--no-TTY", _BACKUP, "list").split()
        if not listed:
            raise BundleError("There is no set, although one was made; see the messages above.")
        return listed[0]

    def run_synapse(self, script: str, *arguments: str, output: BinaryIO) -> None:
        """Run a shell script in Synapse's image, where no Synapse runs; `output` gets what it prints."""
        options = ["run", "--rm", "--no-TTY", "--no-deps", "--entrypoint", "sh", "synapse"]
        self._run(*options, "-c", script, "sh", *arguments, output=output)

    def _list_services(self) -> set[str]:
        return set(self._read("config", "--services").split())

    def _compose(self, *arguments: str) -> list[str]:
        return [*map(str, engine.open_client(self.bundle).docker_compose_cmd), *arguments]

    def _read(self, *arguments: str) -> str:
        # What it complains about goes to the terminal.
        done = subprocess.run(
            self._compose(*arguments), check=False, stdout=subprocess.PIPE, text=True
        )
        _require(done.returncode, arguments)
        return done.stdout

    def _run(self, *arguments: str, given: str = "", output: BinaryIO | None = None) -> None:
        sys.stdout.flush()
        done = subprocess.run(
            self._compose(*arguments), check=False, input=given.encode(), stdout=output
        )
        _require(done.returncode, arguments)


def _is_synapse(service: str) -> bool:
    return service == "synapse" or service.startswith("synapse-")


def _require(code: int, arguments: Sequence[str]) -> None:
    if code:
        words = " ".join(word for word in arguments[:6] if not word.startswith("-"))
        raise BundleError(f"`docker compose {words}` failed; see the error above.")

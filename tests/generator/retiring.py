"""`synapse-bundle retire` beside a `docker` that plays a server, and can kill who asks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.generator.runs import Run, Runner

STEPS: Final = "synapse_bundle.retirement.closing_steps"
# What there is of the server is a file: `running`, `door`, `accounts`, `sets`, `told`, `fence`.
DOCKER: Final = """#!/bin/sh
cd {state} || exit
case "$*" in
"compose version --short") echo 2.26.1; exit ;;
"version --format {{{{.Server.Version}}}}") echo 26.1.5; exit ;;
*" ps --services --status running") [ ! -e running ] || printf 'synapse\\nhelper\\n'; exit ;;
*" ps --quiet") [ ! -e running ] || echo 1; exit ;;
*" config --services") cat services; exit ;;
*config*) cat >/dev/null; exit ;;
esac
need() {{ for each; do [ -e "$each" ] || {{ echo "no $each" >&2; exit 1; }}; done; }}
words=
for each; do case $each in --file|*/compose.yaml|*/compose.override.yaml) ;; *) words="$words $each" ;; esac; done
words=${{words# compose }}
echo "$words" | head -n 1 >>calls
[ ! -e fails ] || ! echo "$words" | grep -q -e "$(cat fails)" || {{ echo "docker says no" >&2; exit 1; }}
case "$words" in
"up "*) [ ! -e fence ] || {{ echo "bootstrap: this server was retired" >&2; exit 1; }} ;;
esac
case "$words" in
"stop "*synapse*) rm -f running ;;
"stop "*apache*) rm -f door ;;
"up --detach --wait --remove-orphans") touch running door ;;
"up --detach --wait "*) touch running ;;
"up --detach "*apache*) touch running door ;;
*"backup now") need running
  [ -e door ] && door=open || door=closed
  echo "$(cat counter)-$(cat accounts)-$door" >>sets; echo "$(($(cat counter) + 1))" >counter ;;
*"backup list") tac sets | sed 's/$/  2026-11-27 03:30 UTC  manual  database 1 MB/' ;;
*"backup retire"*) echo "${{words##*retire}}" >fence ;;
*"helper user list") need running; echo "@anna:localhost  administrator"; echo "@ben/x:localhost"
  echo "@synapse-bundle-check:localhost" ;;
*"helper retire announce"*) need running; echo "$words" >announced; cat >>announced ;;
*"helper retire close") need running; echo gone >accounts ;;
*"helper retire deliver") need running door; touch told ;;
*"--entrypoint sh synapse"*) [ ! -e running ] || exit 1; for each; do :; done; echo "all of $each" ;;
"down --remove-orphans") rm -f running door ;;
*) echo "no such command: $words" >&2; exit 1 ;;
esac
[ "$(grep -c . calls)" != "$(cat deadly)" ] || kill -9 "$PPID"
"""


@dataclass(frozen=True, kw_only=True)
class Home:
    """A directory with a bundle, and a `docker` that plays its server."""

    runner: Runner
    state: Path

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.runner.bundle

    def read(self, name: str) -> str:
        """Return what a file of the server says, "" without one."""
        path = self.state / name
        return path.read_text().strip() if path.exists() else ""

    def has(self, name: str) -> bool:
        """Return whether the server has a file."""
        return (self.state / name).exists()

    def has_begun(self) -> bool:
        """Return whether accounts are being closed, or are."""
        path = self.bundle / ".retirement.json"
        return path.exists() and self.read_record()["stage"] != "ANNOUNCED"

    def list_calls(self) -> list[str]:
        """Return what `docker` was asked to do so far."""
        return self.read("calls").splitlines()

    def read_record(self) -> dict[str, Any]:
        """Return what the bundle remembers of its end."""
        return dict(json.loads((self.bundle / ".retirement.json").read_text()))

    def run(self, *arguments: str, **options: Any) -> Run:
        """Run the program where that `docker` is, and return what became of it."""
        path = f"{self.state / 'bin'}:/usr/bin:/bin"
        done = self.runner.generate(path=path, **{"arguments": arguments} | options)
        assert "Traceback" not in done.output, done.output
        return done

    def finish(self, *arguments: str, **options: Any) -> Run:
        """Run `retire finish` as a script would."""
        return self.run("retire", "finish", "--confirm", "localhost", *arguments, **options)

    def reset(self, *, deadly: int = 0) -> None:
        """Be a server that runs, with people and no set; `docker` kills who asks it for the Nth thing."""
        for name in ("told", "fence", "calls", "sets", "fails", "announced"):
            (self.state / name).unlink(missing_ok=True)
        (self.bundle / ".retirement.json").unlink(missing_ok=True)
        for name, text in (
            *(("accounts", "people"), ("counter", "1"), ("running", ""), ("door", "")),
            ("deadly", str(deadly)),
        ):
            (self.state / name).write_text(text)


def make_home(runner: Runner, settings: str = "", *, written: bool = True) -> Home:
    """Make a bundle that runs; without `written` somebody else writes it."""
    home = Home(runner=runner, state=runner.directory / "state")
    (home.state / "bin").mkdir(parents=True)
    (runner.directory / "settings.yaml").write_text(settings)
    services = "postgres bootstrap synapse synapse-generic helper apache backup"
    (home.state / "services").write_text(services.replace(" ", "\n"))
    program = home.state / "bin" / "docker"
    program.write_text(DOCKER.format(state=home.state))
    program.chmod(0o755)
    (home.state / "deadly").write_text("0")
    if written:
        assert home.run("generate").code == 0
        (home.bundle / "secrets" / "instance").write_text("f" * 32 + "\n")
        home.reset()
    return home

"""The timers that docs/updating.md gives for automatic updates are ones that cron and systemd take."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.support.pages import read_block
from tests.support.processes import run
from tests.support.terminal import open_checkout

PAGE: Final = "updating.md"
HEADING: Final = "Without a person"
# crontab(5): minute, hour, day of the month, month, day of the week.
FIELDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def read_units() -> tuple[str, str]:
    """Return the service and the timer, each from its own [Unit] on."""
    lines = [line for line in read_block(PAGE, HEADING) if re.match(r"\[|\w+=", line)]
    second = [n for n, line in enumerate(lines) if line == "[Unit]"][1]
    return "\n".join(lines[:second]) + "\n", "\n".join(lines[second:]) + "\n"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """As `systemd-analyze verify` judges, which knows every key and reads calendars."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    service, timer = read_units()
    units = [tmp_path / f"matrix-update.{kind}" for kind in ("service", "timer")]
    for path, text in zip(units, (service, timer), strict=True):
        path.write_text(text)
    done = run(["systemd-analyze", "verify", *map(str, units)], check=False)
    mine = [line for line in done.stderr.splitlines() if "matrix-update" in line]
    assert (done.returncode, mine) == (0, [])
    units[1].write_text(timer.replace("*:07:00", "*:99:00"))
    assert run(["systemd-analyze", "verify", str(units[1])], check=False).returncode


def test_cron_takes_the_line() -> None:
    """Five fields within their limits, and a command without a percent sign, which cron replaces."""
    (line,) = (line for line in read_block(PAGE, HEADING) if re.match(r"[0-9*]+ ", line))
    *fields, command = line.split(maxsplit=5)
    for field, (lowest, highest) in zip(fields, FIELDS, strict=True):
        assert field == "*" or lowest <= int(field) <= highest
    assert "%" not in command


def test_what_a_timer_calls_is_the_automatic_update(tmp_path: Path) -> None:
    """Both call `make update AUTOMATIC=yes`, which is the program with its option."""
    service, _ = read_units()
    (line,) = (line for line in read_block(PAGE, HEADING) if line.startswith("7 "))
    typed = "make --silent update AUTOMATIC=yes"
    assert line.endswith(typed)
    assert "ExecStart=/usr/bin/make update AUTOMATIC=yes\n" in service
    printed = open_checkout(tmp_path / "checkout").type(typed.replace("make", "make --dry-run", 1))
    program, *words = shlex.split(printed)
    assert program == ".venv/bin/synapse-bundle"
    assert sorted(words) == sorted(["update", "--output", "bundle", "--automatic"])

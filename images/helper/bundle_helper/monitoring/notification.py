"""A few lines to a person, through Apprise, about what fails and does not mend itself.

`python3 -m bundle_helper.monitoring.notification FILE` sends standard input to the addresses in FILE.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import storage
from ..certificates import schedule
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings.service_settings import ServiceSettings

_SENT = "notified.json"
_TIMEOUT_SECONDS = 60.0
_LONGEST = 400
# What is back within ten minutes was an update, or a restart.
_PATIENCE = timedelta(minutes=10)
_RENEWAL_PATIENCE = timedelta(days=1)
_PARTLY = 3


def list_worries(
    homeserver: str, watched: Mapping[str, Any], certificate: Mapping[str, Any], now: datetime
) -> dict[str, str]:
    """Return a line for each part that has failed long enough to be worth a message, by its name.

    `watched` is what `watch` found, `certificate` what the duty of that name left.
    """
    worries = {}
    for name, part in watched.items():
        since = _moment(part["since"])
        if part["problem"] and schedule.is_worth_word(since, now, _PATIENCE):
            line = f"{homeserver}: {name}: fails since {_show(since)}: {_flatten(part['problem'])}"
            worries[name] = line[:_LONGEST]
    since = _moment(certificate.get("failing_since"))
    if is_near(certificate, now) or schedule.is_worth_word(since, now, _RENEWAL_PATIENCE):
        worries["certificate"] = describe(homeserver, certificate)
    return worries


def is_near(certificate: Mapping[str, Any], now: datetime) -> bool:
    """Say whether a deadline of the certificate has passed.

    Without a known problem its renewal has a day from the warning on, but none after the failure.
    """
    warning, failure = (_moment(certificate.get(name)) for name in ("warning", "failure"))
    if warning is None or failure is None:
        return False
    if certificate.get("problem"):
        return now >= warning
    return now >= min(warning + _RENEWAL_PATIENCE, failure)


def describe(homeserver: str, certificate: Mapping[str, Any]) -> str:
    """Return the line for a person: what is wrong, since when, and when it will matter."""
    failing, end = (_moment(certificate.get(name)) for name in ("failing_since", "valid_until"))
    since = f" since {_show(failing)}" if failing else ""
    problem = _flatten(certificate.get("problem") or "no newer one has come")
    line = f"its certificate ends at {_show(end) if end else 'once'}; not renewed{since}: {problem}"
    return f"{homeserver}: {line}"[:_LONGEST]


def consider(
    settings: ServiceSettings,
    worries: Mapping[str, str],
    now: datetime,
    tell: Callable[[str], None],
) -> None:
    """Send word of what fails, of each once a day, and of what was told before and is well again.

    What reached nobody is sent again by the next look.
    """
    file = settings.notification_file
    if file is None:
        return
    path = settings.state_directory / _SENT
    sent = _read(path)
    due = [name for name in worries if not schedule.is_recent(sent.get(name), now)]
    well = [f"{settings.homeserver}: {name}: well again" for name in sent if name not in worries]
    lines = [*(worries[name] for name in due), *well]
    if not lines or not send(file, "\n".join(lines), tell):
        return
    sent = {name: at for name, at in sent.items() if name in worries} | dict.fromkeys(due, now)
    storage.write(path, {name: at.isoformat() for name, at in sent.items()})


def send(file: Path, lines: str, tell: Callable[[str], None]) -> bool:
    """Send lines to every address in `file`, tell how that went, and return whether any took them."""
    # In a process of its own: the library is large, and this happens once in years.
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bundle_helper.monitoring.notification", str(file)],
            input=lines,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        tell(f"notification: not sent within {_TIMEOUT_SECONDS:.0f} s; tried again soon")
        return False
    outcomes = {0: "sent", _PARTLY: "not sent to everybody"}
    tell(f"notification: {outcomes.get(done.returncode, 'sent to nobody; tried again soon')}")
    return done.returncode in outcomes


def main(file: str, lines: str) -> int:
    """Send lines to every address in `file`; return 0 if all took them, 3 if some did, 1 if none."""
    import apprise  # noqa: PLC0415 (large, and for this process alone)

    taken = []
    for address in Path(file).read_text(encoding="utf-8").split():
        sender = apprise.Apprise()
        taken.append(sender.add(address) and bool(sender.notify(body=lines, title="Matrix server")))
    if all(taken):
        return 0
    return _PARTLY if any(taken) else 1


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _show(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "long ago"


def _flatten(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path) -> dict[str, datetime]:
    try:
        return {name: datetime.fromisoformat(at) for name, at in storage.read(path).items()}
    except (HelperError, ValueError, TypeError):
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.read()))

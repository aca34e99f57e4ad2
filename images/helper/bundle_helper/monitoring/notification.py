"""Messages through Apprise about what fails and does not recover by itself.

`python3 -m bundle_helper.monitoring.notification FILE` sends standard input to the addresses in FILE.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings.service_settings import ServiceSettings

_SENT: Final = "notified.json"
_TIMEOUT_SECONDS: Final = 60.0
_LONGEST: Final = 400
# What recovers within ten minutes was an update, or a restart.
_PATIENCE: Final = timedelta(minutes=10)
_RENEWAL_PATIENCE: Final = timedelta(days=1)
_A_DAY: Final = timedelta(days=1)
_PARTLY: Final = 3


def list_failures(
    homeserver: str, watched: Mapping[str, Any], certificate: Mapping[str, Any], now: datetime
) -> dict[str, str]:
    """Return a line for each part that has failed long enough for a message, by its name.

    `watched` is what `watch` found, `certificate` what the duty of that name left.
    """
    failures = {}
    for name, part in watched.items():
        since = _moment(part["since"])
        if part["problem"] and _has_lasted(since, now, _PATIENCE):
            line = f"{homeserver}: {name}: fails since {_show(since)}: {_flatten(part['problem'])}"
            failures[name] = line[:_LONGEST]
    since = _moment(certificate.get("failing_since"))
    if _is_pressing(certificate, now) or _has_lasted(since, now, _RENEWAL_PATIENCE):
        failures["certificate"] = _write_certificate_line(homeserver, certificate)
    return failures


def _is_pressing(certificate: Mapping[str, Any], now: datetime) -> bool:
    """Say whether a deadline of the certificate has passed.

    Without a known problem its renewal has a day from the warning on, but none after the failure.
    """
    warning, failure = (_moment(certificate.get(name)) for name in ("warning", "failure"))
    if warning is None or failure is None:
        return False
    if certificate.get("problem"):
        return now >= warning
    return now >= min(warning + _RENEWAL_PATIENCE, failure)


def _write_certificate_line(homeserver: str, certificate: Mapping[str, Any]) -> str:
    """Return what is wrong, since when, and when it will matter."""
    failing, end = (_moment(certificate.get(name)) for name in ("failing_since", "valid_until"))
    since = f" since {_show(failing)}" if failing else ""
    problem = _flatten(certificate.get("problem") or "there is no newer one")
    line = f"its certificate ends at {_show(end) if end else 'soon'}; not renewed{since}: {problem}"
    return f"{homeserver}: {line}"[:_LONGEST]


def send_news(
    settings: ServiceSettings,
    failures: Mapping[str, str],
    now: datetime,
    tell: Callable[[str], None],
) -> None:
    """Send a message about what fails, about each once a day, and about what has recovered.

    A message that reached no one is sent again next time.
    """
    file = settings.notification_file
    if file is None:
        return
    path = settings.state_directory / _SENT
    sent = _read(path)
    due = [name for name in failures if not _is_recent(sent.get(name), now)]
    recovered = [
        f"{settings.homeserver}: {name}: has recovered" for name in sent if name not in failures
    ]
    lines = [*(failures[name] for name in due), *recovered]
    if not lines or not send(file, "\n".join(lines), tell):
        return
    sent = {name: at for name, at in sent.items() if name in failures} | dict.fromkeys(due, now)
    storage.write_json(path, {name: at.isoformat() for name, at in sent.items()})


def send(file: Path, lines: str, tell: Callable[[str], None]) -> bool:
    """Send lines to every address in `file`, log the outcome, and return whether any took them."""
    # In a process of its own: the library is large, and this is rare.
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
        tell(f"notification: not sent within {_TIMEOUT_SECONDS:.0f} s; the next attempt is soon")
        return False
    outcomes = {0: "sent", _PARTLY: "not sent to every address"}
    failed = "not sent to any address; the next attempt is soon"
    tell(f"notification: {outcomes.get(done.returncode, failed)}")
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


def _has_lasted(failing_since: datetime | None, now: datetime, patience: timedelta) -> bool:
    return failing_since is not None and now - failing_since >= patience


def _is_recent(sent: datetime | None, now: datetime) -> bool:
    """Say whether a message was sent within a day; not if the clock was wrong then."""
    return sent is not None and timedelta(0) <= now - sent < _A_DAY


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _show(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "long ago"


def _flatten(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path) -> dict[str, datetime]:
    try:
        return {name: datetime.fromisoformat(at) for name, at in storage.read_json(path).items()}
    except (HelperError, ValueError, TypeError):
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.read()))

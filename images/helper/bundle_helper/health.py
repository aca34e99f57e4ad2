"""Whether the helper does its work: `python3 -m bundle_helper.health`, exit code 0 or 1.

It runs every few seconds beside the service, so it imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta

from .liveness import end_hanging
from .status import STATUS_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# The service writes every 60 s; an exchange with a hanging Synapse may delay it by a few more.
_STALE_AFTER = timedelta(seconds=180)
_PATIENCE = timedelta(hours=1)


def main() -> int:
    """Print one line of reason and return the exit code of the health check."""
    directory = os.environ.get("STATE_DIRECTORY", "")
    if not directory:
        sys.stdout.write("unhealthy: STATE_DIRECTORY is not set\n")
        return 1
    end_hanging(directory)
    problem = find_problem(directory, datetime.now(UTC))
    sys.stdout.write(f"unhealthy: {problem}\n" if problem else "healthy\n")
    return 1 if problem else 0


def find_problem(directory: str, now: datetime) -> str | None:
    """Return why the status in `directory` is not a healthy one, or None if it is."""
    try:
        with open(os.path.join(directory, STATUS_FILE), encoding="utf-8") as file:  # noqa: PTH118, PTH123 (pathlib costs more than all the rest of this program)
            return judge(json.load(file), now)
    except FileNotFoundError:
        return "the service has not written its status yet"
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"its status cannot be read ({type(error).__name__})"


def judge(status: Mapping[str, Any], now: datetime) -> str | None:
    """Return the first reason why `status` is not healthy at `now`, or None."""
    certificate, accounts = status["certificate"], status["accounts"]
    age = now - datetime.fromisoformat(status["time"])
    if age > _STALE_AFTER:
        return f"the service has been silent for {age.total_seconds():.0f} s"
    claim = status.get("claim")
    if claim is not None and not claim["held"]:
        return _line(f"does not serve: {claim['problem'] or 'its claim is not settled yet'}")
    if certificate["valid_until"] is None:
        return _line(f"no usable certificate: {certificate['problem']}")
    if datetime.fromisoformat(certificate["valid_until"]) <= now:
        return f"the certificate expired at {certificate['valid_until']}"
    reason = _judge_renewal(certificate, now)
    if reason:
        return _line(reason)
    if not accounts["ensured"]:
        return _line(f"the accounts do not exist yet: {accounts['problem']}")
    return None


def _judge_renewal(certificate: Mapping[str, Any], now: datetime) -> str | None:
    """Return why a certificate that is valid now will soon be a problem, or None."""
    problem, end = certificate["problem"], certificate["valid_until"]
    if _is_past(certificate.get("failure"), now):
        return (
            f"the certificate ends at {end} and is not renewed: {problem or 'no attempt was made'}"
        )
    if problem and _is_past(certificate.get("warning"), now):
        return f"degraded: the certificate ends at {end} and its renewal fails: {problem}"
    since = certificate.get("failing_since")
    # At first the stack is healthy with it; `check` reports the problem at once.
    if certificate.get("origin") == "placeholder" and _is_past(since, now - _PATIENCE):
        reason = problem or "no attempt has brought one yet"
        return f"degraded: a placeholder is served instead of the certificate: {reason}"
    return None


def _is_past(moment: str | None, now: datetime) -> bool:
    return moment is not None and now >= datetime.fromisoformat(moment)


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())

"""What is remembered of the attempts, and that it survives its file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.certificates import history
from bundle_helper.certificates.history import History

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = timedelta(hours=1)
MOMENTS = st.integers(0, 3 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def test_the_first_failure_is_remembered_until_success() -> None:
    """The report says since when it fails, not when it failed last."""
    later = History().after_failure(NOW, "a").after_failure(NOW + HOURS, "b")
    assert (later.failing_since, later.failures, later.problem) == (NOW, 2, "b")
    assert later.after_success(NOW).failing_since is None


@given(attempted=st.none() | MOMENTS, failures=st.integers(0, 99), problem=st.none() | st.text())
def test_a_history_survives_its_file(
    attempted: datetime | None, failures: int, problem: str | None
) -> None:
    """What is stored is what is read."""
    known = History(attempted=attempted, failures=failures, problem=problem, not_before=attempted)
    assert history.parse(json.loads(json.dumps(known.to_json()))) == known

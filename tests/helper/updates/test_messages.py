"""Messages about releases: one for each matter, one when it is over, and a digest a week."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.updates.advice import PartAdvice, Urgency, advise
from bundle_helper.updates.messages import list_messages
from bundle_helper.updates.release_list import ReleaseList, parse_part
from bundle_helper.updates.running_versions import RunningPart
from bundle_helper.updates.subscription import Subscription
from tests.helper.updates.conftest import write_part

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAME = "matrix.example.org"
TITLES = ("Synapse", "PostgreSQL")


def make_list(expires: date = date(2027, 1, 11), **parts: tuple[str, str | None]) -> ReleaseList:
    """Return a list with parts by their newest release and floor."""
    found = {name.replace("_", "-"): parse_part(write_part(*part)) for name, part in parts.items()}
    return ReleaseList(serial=1, issued=date(2026, 11, 27), expires=expires, parts=found)


def judge(version: str | None, newest: str, floor: str | None) -> PartAdvice:
    """Return the advice for one running version of Synapse."""
    part = RunningPart(title="Synapse", name="synapse", version=version)
    return advise([part], make_list(synapse=(newest, floor)))[0]


@pytest.mark.parametrize(
    ("version", "urgency"),
    [
        ("1.164.2", Urgency.CURRENT),
        ("1.165.0", Urgency.CURRENT),
        ("1.163.2", Urgency.AVAILABLE),
        ("1.164.0rc3", Urgency.AVAILABLE),
        ("1.163.1", Urgency.SECURITY),
        ("1.163.2rc1", Urgency.SECURITY),
        ("0.1", Urgency.SECURITY),
        (None, Urgency.UNKNOWN),
        ("develop", Urgency.UNKNOWN),
    ],
)
def test_the_floor_decides(version: str | None, urgency: Urgency) -> None:
    """Below it are known holes; between it and the newest one an update waits."""
    advice = judge(version, "1.164.2", "1.163.2")
    assert advice.urgency is urgency
    assert ("SECURITY" in advice.sentence) is (urgency is Urgency.SECURITY)
    assert bool(advice.next_step) is (urgency in {Urgency.AVAILABLE, Urgency.SECURITY})


def test_without_a_floor_nothing_is_urgent() -> None:
    """A list may know releases and no holes."""
    assert judge("0.1", "1.164.2", None).urgency is Urgency.AVAILABLE


def test_a_part_that_the_list_does_not_have_is_unknown() -> None:
    """As a major version of PostgreSQL that came later."""
    part = RunningPart(title="PostgreSQL", name="postgresql-19", version="19.1")
    (advice,) = advise([part], make_list(postgresql_17=("17.12", "17.12")))
    assert (advice.urgency, advice.sentence) == (
        Urgency.UNKNOWN,
        "PostgreSQL 19.1: the list does not have it",
    )


def make_advice(title: str, urgency: Urgency, floor: str = "2") -> PartAdvice:
    """Return advice of any urgency."""
    sentence = f"{title} is {urgency.value} {floor}"
    return PartAdvice(
        title=title, urgency=urgency, floor=floor, sentence=sentence, next_step="Install it."
    )


def send(
    subscription: Subscription, now: datetime, *advice: PartAdvice
) -> tuple[list[str], Subscription]:
    """Return the messages without the server's name, and what follows when they arrived."""
    lines, after = list_messages(NAME, subscription, advice, now)
    assert all(line.startswith(f"{NAME}: ") and "\n" not in line for line in lines)
    return [line.removeprefix(f"{NAME}: ") for line in lines], after


def test_a_security_update_is_told_at_once_and_its_end_once() -> None:
    """Its message says what to do; a higher floor is a new matter."""
    hole = make_advice("Synapse", Urgency.SECURITY)
    lines, after = send(Subscription(), NOW, hole)
    assert lines == ["Synapse is security 2. Install it."]
    assert send(after, NOW + HOUR, hole)[0] == []
    assert send(after, NOW + 7 * DAY, hole)[0] == ["Synapse is security 2. Install it."]
    assert send(after, NOW + 2 * HOUR, make_advice("Synapse", Urgency.UNKNOWN)) == ([], after)
    higher = make_advice("Synapse", Urgency.SECURITY, "3")
    lines, after = send(after, NOW + 3 * HOUR, higher)
    assert lines == ["Synapse is security 3. Install it."]
    lines, after = send(after, NOW + 4 * HOUR, make_advice("Synapse", Urgency.CURRENT, "3"))
    assert lines == ["Synapse: the security update is installed"]
    assert send(after, NOW + 5 * HOUR, make_advice("Synapse", Urgency.CURRENT, "3"))[0] == []


def test_other_updates_come_once_a_week() -> None:
    """What came meanwhile waits for the digest; what is still open is in it again."""
    synapse, postgresql = (make_advice(title, Urgency.AVAILABLE) for title in TITLES)
    lines, after = send(Subscription(), NOW, synapse)
    assert lines == ["Synapse is available 2. Install it."]
    assert send(after, NOW + 6 * DAY, synapse, postgresql)[0] == []
    assert len(send(after, NOW + 7 * DAY, synapse, postgresql)[0]) == 2
    # The clock was wrong at the last one.
    assert len(send(after, NOW - 300 * DAY, synapse)[0]) == 1


def test_trouble_with_the_list_is_told_once_when_it_lasts() -> None:
    """A day without the internet is no message, and the end of what was not told is none either."""
    trouble = Subscription().after_trouble("no answer", NOW)
    assert send(trouble, NOW + DAY) == ([], trouble)
    lines, after = send(trouble, NOW + 2 * DAY)
    assert lines == [
        (
            "the list of releases was not renewed: no answer; this server may not be told of"
            " security releases"
        )
    ]
    assert send(after, NOW + 30 * DAY)[0] == []
    healed = Subscription(announced=after.announced)
    lines, after = send(healed, NOW + 31 * DAY)
    assert lines == ["list of releases: is renewed again"]
    assert send(after, NOW + 31 * DAY)[0] == []
    assert send(Subscription(), NOW)[0] == []


def test_an_old_list_is_told_once() -> None:
    """Whoever publishes it has stopped, or somebody holds it back; it still counts."""
    old = Subscription(releases=make_list(date(2026, 11, 26), synapse=("1.1", None)))
    lines, after = send(old, NOW)
    assert lines[0].startswith("the list of releases is old: list 1 of 2026-11-27 was to be")
    assert send(after, NOW + DAY)[0] == []


URGENCIES = st.sampled_from(list(Urgency))
STEPS = st.lists(
    st.tuples(
        st.tuples(URGENCIES, URGENCIES),
        st.sampled_from("23"),
        st.integers(1, 100),
        st.booleans(),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_laws_of_messages(steps: list[tuple[tuple[Urgency, Urgency], str, int, bool]]) -> None:
    """A hole is told until that arrives, then in a digest alone, and its end is told if it was.

    So it is over any history, some messages lost; nothing open is repeated within a week, and what is well is silent.
    """
    subscription, now = Subscription(), NOW
    told: dict[str, str] = {}
    digest = NOW - 365 * DAY
    for urgencies, floor, hours, arrives in steps:
        now += hours * HOUR
        advice = [make_advice(t, u, floor) for t, u in zip(TITLES, urgencies, strict=True)]
        lines, after = send(subscription, now, *advice)
        due = now - digest >= 7 * DAY
        digested = False
        for part in advice:
            new = part.urgency is Urgency.SECURITY and told.get(part.title) != floor
            well = part.urgency in {Urgency.CURRENT, Urgency.AVAILABLE}
            over = well and part.title in told
            waits = part.urgency in {Urgency.SECURITY, Urgency.AVAILABLE}
            assert lines.count(f"{part.sentence}. Install it.") == (new or (waits and due))
            assert lines.count(f"{part.title}: the security update is installed") == over
            digested |= new or (waits and due)
            if arrives and new:
                told[part.title] = floor
            elif arrives and over:
                del told[part.title]
        assert len(lines) <= 4
        if arrives:
            subscription = after
            digest = now if digested else digest


@given(st.sampled_from([judge]), st.text(max_size=30))
def test_no_version_ends_the_comparison(judge: Callable[..., PartAdvice], version: str) -> None:
    """Whatever a service says of itself."""
    assert judge(version, "1.164.2", "1.163.2").sentence

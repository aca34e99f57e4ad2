"""What `check` and the watch say of the claim, and of an answer that names other data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper.check import name_claim, probes
from bundle_helper.claim import zone_editor
from bundle_helper.claim.data_identity import is_of_other_data
from bundle_helper.exchange import Answer
from bundle_helper.monitoring import watch
from tests.helper.claim.conftest import report
from tests.helper.claim.register import INSTANCE, OTHER, Zone

if TYPE_CHECKING:
    from bundle_helper.settings.service_settings import ServiceSettings

HEADER = "x-synapse-bundle-instance"


def leave(settings: ServiceSettings, **content: Any) -> None:
    """Leave what the claim's duty does."""
    (settings.state_directory / "claim.json").write_text(json.dumps({"epoch": 1, **content}))


def test_only_a_bundle_with_a_token_has_the_rows(
    claiming: ServiceSettings, tunneled: ServiceSettings, settings: ServiceSettings
) -> None:
    """Without a token there is no claim; the row that asks Cloudflare is left out inside."""
    rows = [probe.name for probe in probes.claim_probes(claiming, inside=False)]
    assert rows == ["claim to the name", "DNS token can write the claim"]
    assert len(probes.claim_probes(claiming, inside=True)) == 1
    assert probes.claim_probes(tunneled, inside=False) == ()
    assert probes.claim_probes(settings, inside=False) == ()


@pytest.mark.parametrize(
    ("state", "ok", "words"),
    [
        ({"held": True, "problem": None}, True, "holds matrix.example.org"),
        ({"held": True, "problem": "no token"}, False, "held, but not renewed: no token"),
        ({"held": False, "problem": "another copy"}, False, "another copy"),
        ({"held": False, "problem": None}, False, "not settled"),
    ],
)
def test_the_row_says_whether_this_copy_serves(
    claiming: ServiceSettings, state: dict[str, Any], ok: bool, words: str
) -> None:
    """A copy that gave way, or could not write, fails its check."""
    leave(claiming, **state)
    finding = name_claim.probe_claim(claiming)
    assert finding.ok == ok
    assert words in finding.detail


def test_a_revoked_token_fails_its_row(
    claiming: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy serves on, and `check` says what no longer works."""
    zone = Zone()
    monkeypatch.setattr(zone_editor, "ZoneEditor", lambda *_: zone)
    assert name_claim.probe_token(claiming).ok
    zone.api = False
    finding = name_claim.probe_token(claiming)
    assert not finding.ok
    assert "refuses the DNS token" in finding.detail
    assert "generate --token" in finding.next_step


def test_the_watch_reports_a_copy_that_does_not_serve(claiming: ServiceSettings) -> None:
    """It is dated like every other part, and so becomes a message."""
    leave(claiming, held=False, problem="another copy of this server has claimed it")
    inside = replace(claiming, outside=False)
    watch.keep_watch(inside, lambda _: None)
    found = watch.read_last(inside)["copies"]
    assert "another copy" in found["problem"]
    assert datetime.fromisoformat(found["since"]) <= datetime.now(UTC)


def test_an_answer_of_other_data_is_known_by_its_header(claiming: ServiceSettings) -> None:
    """Where neither side is unknown; HTTP does not know the case of a header's name."""
    file = claiming.database_report_file
    message = Message()
    assert not is_of_other_data(message, file)
    message[HEADER] = OTHER
    assert is_of_other_data(message, file)
    message.replace_header(HEADER, INSTANCE)
    assert not is_of_other_data(message, file)
    message.replace_header(HEADER, OTHER)
    file.write_text("{}")
    assert not is_of_other_data(message, file)


@pytest.mark.parametrize(("named", "words"), [(OTHER, "another copy"), (INSTANCE, None)])
def test_the_watch_tells_a_twin_at_the_public_name(
    claiming: ServiceSettings, monkeypatch: pytest.MonkeyPatch, named: str, words: str | None
) -> None:
    """The public name is answered, but by other data."""
    report(claiming)
    message = Message()
    message[HEADER] = named
    answer = Answer(status=200, headers=message, body=b"", own_address="")
    monkeypatch.setattr(watch, "ask_url", lambda *_: answer)
    problem = watch.check_tunnel(claiming)
    assert (words is None and problem is None) or (words and words in str(problem))

"""What the process that keeps the claim opens, closes and leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import pytest

from bundle_helper import health
from bundle_helper.claim import claim_commands, zone_editor
from bundle_helper.claim.bundle_claim import BundleClaim
from bundle_helper.claim.claiming import Pace
from bundle_helper.errors import HelperError
from bundle_helper.service import claim_duty
from bundle_helper.service.duty import stamp
from bundle_helper.settings.claim_settings import ClaimSettings
from tests.helper.claim.conftest import CREDENTIAL, report
from tests.helper.claim.register import INSTANCE, OTHER, Zone

if TYPE_CHECKING:
    from bundle_helper.settings.service_settings import ServiceSettings


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Zone:
    """The zone that the duty reads and writes."""
    zone = Zone()
    monkeypatch.setattr(zone_editor, "ZoneEditor", lambda *_: zone)
    monkeypatch.setattr(BundleClaim, "look", lambda _: zone.look())
    return zone


def gate(settings: ServiceSettings) -> ClaimSettings:
    """Return the files of the gate."""
    assert settings.claim is not None
    return settings.claim


def keep(settings: ServiceSettings, zone: Zone | None = None) -> dict[str, Any]:
    """Do one round and return what it left."""
    zone = zone or Zone()
    claim_duty.keep_claim(settings, Pace(monotonic=lambda: zone.now, sleep=zone.sleep))
    return read(settings)


def read(settings: ServiceSettings) -> dict[str, Any]:
    """Return what the last round left."""
    content: dict[str, Any] = json.loads((settings.state_directory / "claim.json").read_text())
    return content


def judge(settings: ServiceSettings) -> str | None:
    """Return what the health check says of a helper whose other duties are in order."""
    now = datetime.now(UTC)
    certificate = {"valid_until": "2099-01-01T00:00:00+00:00", "problem": None}
    accounts = {"ensured": True, "problem": None}
    status = {"time": now.isoformat(), "certificate": certificate, "accounts": accounts}
    return health.judge(status | {"claim": read(settings)}, now)


def test_without_a_token_the_credential_is_released_at_once(tunneled: ServiceSettings) -> None:
    """There is nothing to claim with; Apache still learns which data this is."""
    left = keep(tunneled)
    files = gate(tunneled)
    assert left["held"]
    assert files.released_file.read_text() == CREDENTIAL
    assert files.instance_hash_file.read_text() == INSTANCE
    assert not files.stood_down_file.exists()
    assert judge(tunneled) is None


def test_the_credential_is_released_even_without_a_report(tunneled: ServiceSettings) -> None:
    """A tunnel without a token does not depend on anything else."""
    tunneled.database_report_file.unlink()
    left = keep(tunneled)
    assert gate(tunneled).released_file.exists()
    assert "database.json" in left["problem"]


def test_what_changes_is_released_again(tunneled: ServiceSettings) -> None:
    """A new credential replaces the old one; an equal one leaves the file alone, and cloudflared too."""
    files = gate(tunneled)
    keep(tunneled)
    before = stamp(str(files.released_file))
    left = keep(tunneled)
    assert stamp(str(files.released_file)) == before
    assert left["files"][str(files.released_file)] == before
    assert files.credential_file is not None
    files.credential_file.write_text("{}")
    assert left["files"][str(files.credential_file)] != stamp(str(files.credential_file))
    keep(tunneled)
    assert files.released_file.read_text() == "{}"


def test_with_a_token_the_credential_comes_with_the_claim(
    claiming: ServiceSettings, zone: Zone
) -> None:
    """Closed while it waits, open when it holds the claim."""
    released: list[bool] = []
    zone.meanwhile = lambda _: released.append(gate(claiming).released_file.exists())
    left = keep(claiming, zone)
    assert released == [False]
    assert gate(claiming).released_file.read_text() == CREDENTIAL
    assert (left["held"], left["problem"], left["due"]) == (True, None, None)
    assert judge(claiming) is None


def test_another_copy_closes_the_gate(claiming: ServiceSettings, zone: Zone) -> None:
    """The credential goes, Apache refuses, the helper is unhealthy and says the ways back."""
    keep(claiming, zone)
    zone.hold(OTHER, epoch=2)
    left = keep(claiming, zone)
    files = gate(claiming)
    assert not left["held"]
    assert not files.released_file.exists()
    assert files.stood_down_file.exists()
    said = str(judge(claiming))
    assert "does not serve: another copy" in said
    assert "claim take example.org" in said
    assert "docker compose down" in said


def test_the_gate_stays_closed_after_a_restart(claiming: ServiceSettings, zone: Zone) -> None:
    """What an override or a person left open is closed by the next start."""
    keep(claiming, zone)
    zone.hold(OTHER, epoch=2)
    keep(claiming, zone)
    files = gate(claiming)
    files.stood_down_file.unlink()
    files.released_file.write_text(CREDENTIAL)
    (claiming.state_directory / "claim.json").unlink()
    keep(claiming, zone)
    assert files.stood_down_file.exists()
    assert not files.released_file.exists()


def test_what_cannot_be_known_is_asked_again_soon(claiming: ServiceSettings, zone: Zone) -> None:
    """A copy that never held it waits without an answer, closed, and says how to override."""
    zone.api = zone.dns = False
    left = keep(claiming, zone)
    assert not left["held"]
    assert left["due"]
    assert not gate(claiming).released_file.exists()
    assert not gate(claiming).stood_down_file.exists()
    assert "claim take example.org --offline" in str(judge(claiming))
    assert claim_commands.take(claiming, "example.org", offline=True) == 0
    assert gate(claiming).released_file.exists()
    assert keep(claiming, zone)["held"]


def test_a_credential_that_came_with_a_copied_volume_is_withdrawn_first(
    claiming: ServiceSettings, zone: Zone
) -> None:
    """A copy that never held the claim on its data closes the gate before it waits."""
    files = gate(claiming)
    files.released_file.write_text(CREDENTIAL)
    seen: list[bool] = []
    zone.meanwhile = lambda _: seen.append(files.released_file.exists())
    assert keep(claiming, zone)["held"]
    assert seen == [False]


def test_a_restore_while_the_helper_runs_begins_anew(claiming: ServiceSettings, zone: Zone) -> None:
    """Other data is another claim: the session of before says nothing about it."""
    keep(claiming, zone)
    report(claiming, OTHER, epoch=2)
    begun = zone.now
    left = keep(claiming, zone)
    assert left["held"]
    assert zone.now > begun
    assert [(r.holder, r.epoch) for r in zone.records.values()] == [(OTHER, 2)]
    assert gate(claiming).instance_hash_file.read_text() == OTHER


def test_without_a_report_nothing_changes(claiming: ServiceSettings, zone: Zone) -> None:
    """What was decided before holds until bootstrap says whose data this is."""
    claiming.database_report_file.write_text('{"proof": null, "problem": "x"}')
    left = keep(claiming, zone)
    assert not left["held"]
    assert "docker compose logs bootstrap" in left["problem"]
    report(claiming)
    assert keep(claiming, zone)["held"]
    claiming.database_report_file.write_text("{}")
    assert keep(claiming, zone)["held"]
    assert gate(claiming).released_file.exists()


def test_a_volume_that_refuses_is_reported(claiming: ServiceSettings, zone: Zone) -> None:
    """Without a place for the claim nothing is released."""
    files = gate(claiming)
    broken = replace(claiming, claim=replace(files, directory=files.directory / "missing"))
    left = keep(broken, zone)
    assert not left["held"]
    assert "cannot be used" in left["problem"]


def test_the_commands_show_and_take_the_claim(
    claiming: ServiceSettings, zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status` says who has it; `take` opens the gate of a copy that gave way."""
    keep(claiming, zone)
    zone.hold(OTHER, epoch=4)
    keep(claiming, zone)
    assert claim_commands.show_status(claiming) == 1
    said = capsys.readouterr().out
    assert "another copy holds the claim" in said
    assert f"other data ({OTHER[:12]}, epoch 4)" in said
    pace = Pace(monotonic=lambda: zone.now, sleep=zone.sleep)
    with pytest.raises(click.UsageError, match=r"is the server example\.org"):
        claim_commands.take(claiming, "example.com", offline=False)
    assert claim_commands.take(claiming, "example.org", offline=False, pace=pace) == 0
    assert gate(claiming).released_file.exists()
    assert not gate(claiming).stood_down_file.exists()
    left = read(claiming)
    assert left["held"]
    # What the supervisor watches is kept, so that a later change is still noticed.
    assert str(claiming.database_report_file) in left["files"]
    assert claim_commands.show_status(claiming) == 0
    assert "this copy (epoch 5)" in capsys.readouterr().out
    assert keep(claiming, zone)["session"] == read(claiming)["session"]


def test_without_a_token_the_commands_say_so(tunneled: ServiceSettings) -> None:
    """There is no record to show or to write."""
    with pytest.raises(HelperError, match="no DNS token"):
        claim_commands.show_status(tunneled)


def test_a_bundle_without_token_and_tunnel_has_no_claim(settings: ServiceSettings) -> None:
    """Nothing is done and nothing is left."""
    claim_duty.keep_claim(settings)
    assert list(settings.state_directory.iterdir()) == []

"""What is remembered of the attempts when nothing can be written, and what certbot leaves behind."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper.certificates import history, issuance, schedule
from bundle_helper.certificates.certbot import Attempt
from bundle_helper.certificates.history import History
from bundle_helper.certificates.lineage import Lineage, find_lineage
from bundle_helper.certificates.renewal import Renewal
from bundle_helper.settings.certificate_settings import CertificateSettings
from bundle_helper.settings.issuers import Acme
from bundle_helper.settings.service_settings import ServiceSettings

NOW = datetime.now(UTC)


@pytest.fixture
def settings(acme_environ: dict[str, str]) -> CertificateSettings:
    return ServiceSettings.from_environ(acme_environ).certificate


@pytest.fixture
def acme(settings: CertificateSettings) -> Acme:
    assert isinstance(settings.issuer, Acme)
    return settings.issuer


@pytest.fixture
def lineage(settings: CertificateSettings, acme: Acme) -> Lineage:
    return find_lineage(acme, settings.homeserver)


@pytest.fixture
def renewal(settings: CertificateSettings, acme: Acme) -> Renewal:
    """The renewal of these settings; it says nothing and its clock stands still."""
    return Renewal(settings, acme, {}, lambda _: None, lambda: NOW)


def write_lineage(lineage: Lineage) -> tuple[Path, Path]:
    """Write a lineage as certbot does; return its configuration and its live directory."""
    root, name, live = lineage.directory, lineage.name, lineage.live
    archive = root / "archive" / name
    configuration = root / "renewal" / f"{name}.conf"
    for place in (live, archive, configuration.parent):
        place.mkdir(parents=True)
    lines = []
    for kind in ("cert", "privkey", "chain", "fullchain"):
        (archive / f"{kind}1.pem").write_text(kind)
        (live / f"{kind}.pem").symlink_to(archive / f"{kind}1.pem")
        lines.append(f"{kind} = {live / kind}.pem\n")
    configuration.write_text("".join(lines))
    return configuration, live


def test_an_attempt_that_cannot_be_written_down_is_not_made_again_at_once(
    renewal: Renewal, settings: CertificateSettings, acme: Acme
) -> None:
    """Where the volume is missing the next attempt waits, and the problem is reported."""
    shutil.rmtree(acme.lineages_directory)
    acme.lineages_directory.write_text("")
    with pytest.raises(issuance.IssuanceError):
        renewal.attempt(Attempt())
    state = renewal.ensure(NOW)
    assert "letsencrypt" in str(state.problem)
    assert not renewal.must_ask(state, NOW + timedelta(minutes=1))
    assert renewal.must_ask(state, NOW + timedelta(minutes=11))


def test_the_later_memory_counts_and_is_written_when_there_is_room_again(
    renewal: Renewal, settings: CertificateSettings, acme: Acme
) -> None:
    """A failure that only memory knows decides, and reaches the volume with the next look."""
    known = renewal.read_history().after_failure(NOW, "no token")
    older = known.after_success(NOW - timedelta(days=1))
    history.write(settings.state_directory, acme.lineages_directory, older)
    kept = acme.lineages_directory.rename(acme.lineages_directory.with_name("kept"))
    acme.lineages_directory.write_text("")
    with pytest.raises(Exception, match="cannot be written"):
        history.write(settings.state_directory, acme.lineages_directory, known)
    assert renewal.read_history() == known
    assert "cannot be written" in str(renewal.ensure(NOW).problem)
    acme.lineages_directory.unlink()
    kept.rename(acme.lineages_directory)
    assert renewal.read_history() == known
    assert renewal.ensure(NOW).problem == "no token"
    (settings.state_directory / history.HISTORY).unlink()
    assert renewal.read_history() == known


def test_nothing_is_ordered_where_nothing_can_be_kept(
    settings: CertificateSettings, acme: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space for a certificate is proved before anybody is asked for one."""

    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bundle_helper.certificates.issuance.os.fsync", refuse)
    with pytest.raises(issuance.NotReadyError, match="No space left on device"):
        issuance.obtain(settings, acme, Attempt(), {}, lambda _: None)
    assert list(acme.lineages_directory.iterdir()) == []


def test_a_success_without_a_certificate_is_a_failure(
    renewal: Renewal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What certbot says counts only where what it made is found."""
    monkeypatch.setattr("bundle_helper.certificates.issuance.obtain", lambda *_: None)
    with pytest.raises(issuance.IssuanceError, match="not where it belongs"):
        renewal.attempt(Attempt())
    assert renewal.read_history().failures == 1


def test_a_placeholder_without_a_reason_is_counted_too(renewal: Renewal) -> None:
    """It is known since when it is served, whatever the reason."""
    assert renewal.ensure(NOW).failing_since is not None


def test_a_whole_lineage_is_left_alone(lineage: Lineage) -> None:
    """What certbot can read stays where it is; nor does nothing have to move."""
    assert lineage.set_damaged_aside() is None
    configuration, live = write_lineage(lineage)
    assert lineage.set_damaged_aside() is None
    assert configuration.exists()
    assert live.exists()


@pytest.mark.parametrize(
    "how", ["empty", "missing", "damaged", "elsewhere", "no key", "no live", "torn"]
)
def test_a_damaged_lineage_is_set_aside(lineage: Lineage, how: str) -> None:
    """Certbot would save beside it, where it is never found; nothing of it is lost."""
    configuration, live = write_lineage(lineage)
    match how:
        case "empty":
            configuration.write_text("")
        case "missing":
            configuration.unlink()
        case "damaged":
            configuration.write_bytes(b"[half\n\xff")
        case "elsewhere":
            configuration.write_text(configuration.read_text().replace(live.name, "other"))
        case "no key":
            (live / "privkey.pem").unlink()
        case "no live":
            shutil.rmtree(live)
        case "torn":
            (live / "fullchain.pem").resolve().write_text("")
    aside = lineage.set_damaged_aside()
    assert aside is not None
    assert (aside / "archive" / live.name / "privkey1.pem").read_text() == "privkey"
    left = [path for path in lineage.directory.glob("*/*") if path.parent.name != "set-aside"]
    assert left == []


def test_waiting_for_room_counts_no_failure() -> None:
    """A full disk is looked at every ten minutes, however long it is full."""
    known = History()
    for _ in range(9):
        known = known.postponed(NOW, "full")
    assert (known.failures, known.failing_since, known.problem) == (0, NOW, "full")
    assert not schedule.is_due(known, "x", NOW + timedelta(minutes=9))
    assert schedule.is_due(known, "x", NOW + timedelta(minutes=10))


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_rehearsal_leaves_a_damaged_lineage_where_it_is(
    settings: CertificateSettings,
    acme: Acme,
    lineage: Lineage,
    monkeypatch: pytest.MonkeyPatch,
    rehearsal: bool,
) -> None:
    """Only an attempt that may save a certificate makes room for it."""
    configuration, _ = write_lineage(lineage)
    configuration.write_text("")
    monkeypatch.setattr(issuance, "_check_dns", lambda *_: None)
    monkeypatch.setattr(issuance, "_run", lambda *_: ("", 0))
    issuance.obtain(settings, acme, Attempt(rehearsal=rehearsal), {}, lambda _: None)
    assert configuration.exists() is rehearsal
    assert (lineage.directory / "set-aside").exists() is not rehearsal

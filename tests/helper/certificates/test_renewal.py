"""What is remembered of the attempts when nothing can be written, and what certbot leaves behind."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper.certificates import history, issuance, lineage, schedule
from bundle_helper.certificates.certbot import Wish
from bundle_helper.certificates.renewal import Renewal
from bundle_helper.certificates.schedule import History
from bundle_helper.settings.service_settings import ServiceSettings

NOW = datetime.now(UTC)


@pytest.fixture
def acme_settings(environ: dict[str, str], tmp_path: Path) -> ServiceSettings:
    """Settings of a helper whose certificate comes from Let's Encrypt."""
    (tmp_path / "dns_token").write_text("secretTOKENsecretTOKENsecretTOKENsecret0\n")
    (tmp_path / "letsencrypt").mkdir()
    return ServiceSettings.from_environ(
        {
            **environ,
            "CERTIFICATE_ISSUER": "letsencrypt",
            "CERTIFICATE_NAMES": "matrix.example.org",
            "ACME_EMAIL": "you@example.org",
            "ACME_PROFILE": "default",
            "CERTIFICATE_KEY_TYPE": "default",
            "LINEAGES_DIRECTORY": str(tmp_path / "letsencrypt"),
            "DNS_TOKEN_FILE": str(tmp_path / "dns_token"),
        }
    )


@pytest.fixture
def renewal(acme_settings: ServiceSettings) -> Renewal:
    """The renewal of these settings; it says nothing and its clock stands still."""
    return Renewal(acme_settings, {}, lambda _: None, lambda: NOW)


def lineages(settings: ServiceSettings) -> Path:
    assert settings.acme is not None
    return settings.acme.lineages_directory


def write_lineage(settings: ServiceSettings) -> tuple[Path, Path]:
    """Write a lineage as certbot does; return its configuration and its live directory."""
    root, name = lineages(settings), lineage.name(settings.certificate_issuer, settings.homeserver)
    live, archive = root / "live" / name, root / "archive" / name
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
    renewal: Renewal, acme_settings: ServiceSettings
) -> None:
    """Where the volume is gone the next look waits, and the problem is told."""
    shutil.rmtree(lineages(acme_settings))
    lineages(acme_settings).write_text("")
    with pytest.raises(issuance.IssuanceError):
        renewal.attempt(Wish())
    state = renewal.ensure(NOW)
    assert "letsencrypt" in str(state.problem)
    assert not renewal.must_ask(state, NOW + timedelta(minutes=1))
    assert renewal.must_ask(state, NOW + timedelta(minutes=11))


def test_the_later_memory_counts_and_is_written_when_there_is_room_again(
    renewal: Renewal, acme_settings: ServiceSettings
) -> None:
    """A failure that only memory knows decides, and reaches the volume with the next look."""
    known = schedule.fail(renewal.read_history(), NOW, "no token")
    older = schedule.succeed(known, NOW - timedelta(days=1))
    assert acme_settings.acme is not None
    history.write(acme_settings, acme_settings.acme, older)
    kept = lineages(acme_settings).rename(lineages(acme_settings).with_name("kept"))
    lineages(acme_settings).write_text("")
    with pytest.raises(Exception, match="can not be written"):
        history.write(acme_settings, acme_settings.acme, known)
    assert renewal.read_history() == known
    assert "can not be written" in str(renewal.ensure(NOW).problem)
    lineages(acme_settings).unlink()
    kept.rename(lineages(acme_settings))
    assert renewal.read_history() == known
    assert renewal.ensure(NOW).problem == "no token"
    (acme_settings.state_directory / history.HISTORY).unlink()
    assert renewal.read_history() == known


def test_nothing_is_ordered_where_nothing_can_be_kept(
    acme_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space for a certificate is proved before anybody is asked for one."""

    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bundle_helper.certificates.issuance.os.fsync", refuse)
    with pytest.raises(issuance.NotReadyError, match="No space left on device"):
        issuance.obtain(acme_settings, Wish(), {}, lambda _: None)
    assert list(lineages(acme_settings).iterdir()) == []


def test_a_success_without_a_certificate_is_a_failure(
    renewal: Renewal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What certbot says counts only where what it made is found."""
    monkeypatch.setattr("bundle_helper.certificates.issuance.obtain", lambda *_: None)
    with pytest.raises(issuance.IssuanceError, match="not where it belongs"):
        renewal.attempt(Wish())
    assert renewal.read_history().failures == 1


def test_a_placeholder_without_a_reason_is_counted_too(renewal: Renewal) -> None:
    """Since when it is served is known, whoever failed or did nothing."""
    assert renewal.ensure(NOW).failing_since is not None


def test_a_whole_lineage_is_left_alone(acme_settings: ServiceSettings) -> None:
    """What certbot can read stays where it is; nor does nothing have to move."""
    assert lineage.set_broken_aside(acme_settings) is None
    configuration, live = write_lineage(acme_settings)
    assert lineage.set_broken_aside(acme_settings) is None
    assert configuration.exists()
    assert live.exists()


@pytest.mark.parametrize(
    "how", ["empty", "missing", "damaged", "elsewhere", "no key", "no live", "torn"]
)
def test_a_damaged_lineage_is_set_aside(acme_settings: ServiceSettings, how: str) -> None:
    """Certbot would save beside it, where nobody looks; nothing of it is lost."""
    configuration, live = write_lineage(acme_settings)
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
    aside = lineage.set_broken_aside(acme_settings)
    assert aside is not None
    assert (aside / "archive" / live.name / "privkey1.pem").read_text() == "privkey"
    left = [path for path in lineages(acme_settings).glob("*/*") if path.parent.name != "set-aside"]
    assert left == []


def test_waiting_for_room_counts_no_failure() -> None:
    """A full disk is looked at every ten minutes, however long it is full."""
    known = History()
    for _ in range(9):
        known = schedule.postpone(known, NOW, "full")
    assert (known.failures, known.failing_since, known.problem) == (0, NOW, "full")
    assert not schedule.is_due(known, "x", NOW + timedelta(minutes=9))
    assert schedule.is_due(known, "x", NOW + timedelta(minutes=10))

"""What another issuer gave is published when it is usable, and never when it is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper.certificates import keeper, local_authority
from bundle_helper.certificates.keeper import CertificateState
from bundle_helper.certificates.published import LIVE, PREVIOUS
from bundle_helper.settings.certificate_settings import CertificateSettings
from bundle_helper.settings.issuers import LETSENCRYPT, Acme, Files, OwnAuthority
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.conftest import write_authority

NOW = datetime.now(UTC)
NAMES = ("matrix.example.org", "example.org", "127.0.0.1")
KEY = b"-----BEGIN PRIVATE KEY-----"


@pytest.fixture
def foreign(settings: ServiceSettings, tmp_path: Path) -> CertificateSettings:
    """Settings whose issuer is the operator, with files of an authority that is not the bundle's."""
    (tmp_path / "theirs").mkdir()
    write_authority(tmp_path / "theirs", permitted=("example.org", "other.org"))
    files = Files(
        certificate_file=tmp_path / "theirs" / "cert.pem", key_file=tmp_path / "theirs" / "key.pem"
    )
    return replace(settings.certificate, issuer=files, names=NAMES[:1])


def issue(
    settings: CertificateSettings, names: tuple[str, ...] = NAMES[:1], now: datetime = NOW
) -> str:
    """Write certificate and key where the settings expect them; return the certificate."""
    assert isinstance(settings.issuer, Files)
    place = settings.issuer.key_file.parent
    issuer = local_authority.load(place / "authority.key", place / "authority.pem")
    leaf, key = local_authority.issue(issuer, names, now).split(KEY)
    settings.issuer.certificate_file.write_bytes(leaf)
    settings.issuer.key_file.write_bytes(KEY + key)
    return leaf.decode()


def ensure(settings: CertificateSettings, now: datetime = NOW) -> CertificateState:
    assert isinstance(settings.issuer, Files)
    return keeper.ensure_files(settings, settings.issuer, now, lambda _: None)


def read(settings: CertificateSettings, name: str = LIVE) -> str:
    return (settings.directory / name).read_text()


def test_without_anything_a_placeholder_is_published(foreign: CertificateSettings) -> None:
    """Apache has something to serve from the first moment, and it is said what it is."""
    state = ensure(foreign)
    assert state.live is not None
    assert state.origin == "placeholder"
    assert "cert.pem cannot be read" in str(state.problem)
    assert state.failing_since is not None


def test_the_real_one_takes_the_placeholder_s_place(foreign: CertificateSettings) -> None:
    """As soon as it is there it is live, the placeholder is the previous one."""
    ensure(foreign)
    placeholder = read(foreign)
    leaf = issue(foreign)
    state = ensure(foreign)
    assert (state.origin, state.problem) == ("files", None)
    assert read(foreign).startswith(leaf)
    assert read(foreign, PREVIOUS) == placeholder


def test_looking_again_changes_nothing(foreign: CertificateSettings) -> None:
    """A second look leaves live and previous as they are."""
    issue(foreign)
    ensure(foreign)
    issue(foreign)
    ensure(foreign)
    before = (read(foreign), read(foreign, PREVIOUS))
    ensure(foreign)
    assert (read(foreign), read(foreign, PREVIOUS)) == before


@pytest.mark.parametrize("fault", ["mismatch", "truncated", "wrong name", "too early", "missing"])
def test_a_bad_candidate_is_never_published(foreign: CertificateSettings, fault: str) -> None:
    """What is wrong with it is reported, and the good one keeps serving."""
    issue(foreign)
    ensure(foreign)
    before = read(foreign)
    assert isinstance(foreign.issuer, Files)
    if fault == "mismatch":
        key = foreign.issuer.key_file.read_bytes()
        issue(foreign)
        foreign.issuer.key_file.write_bytes(key)
    elif fault == "truncated":
        leaf = issue(foreign)
        foreign.issuer.certificate_file.write_text(leaf[: len(leaf) // 2])
    elif fault == "wrong name":
        issue(foreign, ("other.org",))
    elif fault == "too early":
        issue(foreign, now=NOW + timedelta(days=30))
    else:
        foreign.issuer.key_file.unlink()
    state = ensure(foreign)
    assert state.problem
    assert state.origin == "files"
    assert read(foreign) == before


def test_another_issuer_keeps_the_last_good_one(
    foreign: CertificateSettings, tmp_path: Path
) -> None:
    """After a switch the old certificate serves until the new issuer's is there."""
    issue(foreign)
    ensure(foreign)
    before = read(foreign)
    acme = Acme(
        name="letsencrypt",
        directory=LETSENCRYPT,
        email="you@example.org",
        profile=None,
        key_type=None,
        lineages_directory=tmp_path,
        token_file=tmp_path / "dns_token",
    )
    switched = replace(foreign, issuer=acme)
    state = keeper.adopt(switched, NOW, lambda _: None, None)
    assert (state.origin, read(foreign)) == ("files", before)


def test_back_to_the_own_authority_at_once(foreign: CertificateSettings) -> None:
    """The bundle's own authority waits for no one."""
    issue(foreign)
    ensure(foreign)
    own = replace(foreign, issuer=OwnAuthority(), names=NAMES)
    state = keeper.ensure_own(own, NOW, lambda _: None)
    assert (state.origin, state.problem) == ("own-authority", None)


def test_files_that_are_not_replaced_are_reported(foreign: CertificateSettings) -> None:
    """With a third of their life left the operator is warned, before clients notice."""
    issue(foreign)
    ensure(foreign)
    assert ensure(foreign, NOW + timedelta(days=59)).problem is None
    assert "have not been replaced" in str(ensure(foreign, NOW + timedelta(days=61)).problem)


def test_many_at_once_publish_it_once(foreign: CertificateSettings) -> None:
    """The service and a person's command that adopt the same files at once both end well."""
    told: list[str] = []
    assert isinstance(foreign.issuer, Files)
    for _ in range(20):
        issue(foreign)
        told.clear()
        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(keeper.ensure_files, foreign, foreign.issuer, NOW, told.append)
                for _ in range(8)
            ]
            states = [each.result() for each in asked]
        assert {(state.origin, state.problem) for state in states} == {("files", None)}
        assert len(told) == 1

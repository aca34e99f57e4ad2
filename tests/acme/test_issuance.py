"""The helper, real certbot and a real ACME authority: when a certificate is issued and renewed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509

from tests.acme.acme_bundles import (
    ISSUED_WITHIN,
    LoneHelper,
    change_helper,
    copy_faketime,
    generate_bundle,
    read_live,
)
from tests.acme.internet import LIFETIMES, ORDER, Internet, run_internet
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneHelper]:
    """A helper with a certificate of three minutes, in an internet that no other test resets."""
    with run_internet(tmp_path_factory.mktemp("internet")) as internet:
        # Pebble suggests a moment within a day, whatever the lifetime; minutes need no suggestion.
        internet.control(acme=[{"status": 404, "path": "renewalInfo"}])
        folder = tmp_path_factory.mktemp("brief")
        alone = LoneHelper(stack=generate_bundle(folder, "brief", internet, authority="brief"))
        try:
            alone.start()
            alone.wait_issued()
            yield alone
            assert internet.read_state()["violations"] == []
        finally:
            alone.remove()


def list_lineage(helper: LoneHelper) -> list[x509.Certificate]:
    """Return every certificate that certbot has got, the first one first."""
    script = "cat $(ls -v /etc/letsencrypt/archive/*/cert*.pem)"
    done = helper.stack.compose("exec", "--no-TTY", "helper", "sh", "-c", script)
    return x509.load_pem_x509_certificates(done.stdout.encode())


def test_a_short_life_is_left_alone_at_first(brief: LoneHelper) -> None:
    """A certificate of three minutes is not renewed at once; the last test sees how it goes on."""
    (first,) = list_lineage(brief)
    assert brief.renew().returncode == 0
    assert brief.is_issued()
    assert read_live(brief.stack)[0] == first


def test_first_issuance(helper: LoneHelper, internet: Internet) -> None:
    """An empty bundle gets a certificate with one order, and cleans up."""
    helper.start()
    leaf = helper.wait_issued()
    assert f"{leaf.serial_number:x}" in str(helper.status()).lower()
    assert internet.count(ORDER) == 1
    assert internet.read_state()["records"] == []


def test_serves_a_placeholder_until_the_real_one_comes(
    helper: LoneHelper, internet: Internet
) -> None:
    """While no authority issues, a certificate of the bundle's own is published at once."""
    internet.control(acme=[{"status": 503}])
    helper.start()
    wait_for(lambda: bool(read_live(helper.stack)), "there is a placeholder", 30)
    assert "Pebble" not in read_live(helper.stack)[0].issuer.rfc4514_string()
    internet.control(acme=[])
    wait_for(lambda: helper.renew().returncode == 0, "it is issued", 60)
    assert helper.is_issued()


def test_a_valid_certificate_is_not_issued_again(helper: LoneHelper, internet: Internet) -> None:
    """A restart and a renewal that is not due yet cost no order."""
    helper.start()
    serial = helper.wait_issued().serial_number
    helper.restart()
    wait_for(lambda: helper.renew().returncode == 0, "it was asked", 30)
    assert read_live(helper.stack)[0].serial_number == serial
    assert internet.count(ORDER) == 1


def test_renews_when_the_authority_says_so(helper: LoneHelper, internet: Internet) -> None:
    """Renewal information of the authority decides; the new certificate replaces the old one."""
    helper.start()
    first = f"{helper.wait_issued().serial_number:x}"
    internet.control(renewal="past")
    assert helper.renew().returncode == 0
    assert helper.is_issued(other_than=first)
    assert f"{read_live(helper.stack, 'previous.pem')[0].serial_number:x}" == first


def test_loses_its_volume_and_keeps_serving(helper: LoneHelper, internet: Internet) -> None:
    """Without certbot's files the published certificate stays, until one new order replaces it."""
    helper.start()
    helper.wait_issued()
    helper.stack.compose("stop", "--timeout", "2", "helper")
    volumes = helper.stack.compose("config", "--volumes").stdout.split()
    assert "letsencrypt" in volumes
    empty = [
        "--entrypoint",
        "sh",
        "helper",
        "-c",
        "rm -rf /etc/letsencrypt/* /etc/letsencrypt/.??*",
    ]
    helper.stack.compose("run", "--rm", "--no-deps", *empty)
    helper.restart()
    for _ in range(20):
        assert helper.is_issued()
    assert helper.renew().returncode == 0
    assert helper.is_issued()
    assert internet.count(ORDER) <= 2


def test_two_at_once_do_not_meet(helper: LoneHelper, internet: Internet) -> None:
    """Several renewals at the same moment issue once, and leave a complete certificate."""
    helper.start()
    first = f"{helper.wait_issued().serial_number:x}"
    internet.control(renewal="past")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: helper.renew(), range(3)))
    assert helper.is_issued(other_than=first)
    internet.control(renewal=None)
    assert helper.renew().returncode == 0
    assert internet.read_state()["records"] == []


def test_a_clock_that_is_ahead(helper: LoneHelper, internet: Internet, tmp_path: Path) -> None:
    """With a clock two days ahead the certificate is issued and used, and not ordered again and again."""
    library = copy_faketime(internet, tmp_path)
    ahead = {"LD_PRELOAD": "/libfaketime.so.1", "FAKETIME": "+2d"}
    ahead["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    change_helper(helper.stack, environment=ahead, volumes=[f"{library}:/libfaketime.so.1:ro"])
    helper.start()
    helper.wait_issued()
    assert helper.renew().returncode == 0
    assert internet.count(ORDER) == 1


def test_short_lives_are_renewed_in_time(brief: LoneHelper) -> None:
    """A certificate of three minutes is renewed by itself in time, while the other tests run."""
    first = f"{list_lineage(brief)[0].serial_number:x}"
    brief.wait_issued(other_than=first, patience=LIFETIMES["brief"] + ISSUED_WITHIN)
    lineage = list_lineage(brief)
    assert len(lineage) > 1
    for leaf, renewed in pairwise(lineage):
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert leaf.not_valid_before_utc + life / 2 < renewed.not_valid_before_utc
        assert renewed.not_valid_before_utc < leaf.not_valid_after_utc

"""The helper, real certbot and a real ACME authority: what becomes of a certificate, and when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acme.bundles import (
    PATIENCE,
    Alone,
    change_helper,
    copy_faketime,
    generate_bundle,
    read_live,
)
from tests.acme.internet import LIFETIMES, ORDER, Internet
from tests.stack.stacks import wait_until

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.engine


def test_first_issuance(helper: Alone, internet: Internet) -> None:
    """An empty bundle gets a certificate with one order, and cleans up behind itself."""
    helper.start()
    leaf = helper.wait_issued()
    assert f"{leaf.serial_number:x}" in str(helper.status()).lower()
    assert internet.count(ORDER) == 1
    assert internet.look()["records"] == []


def test_serves_a_placeholder_until_the_real_one_comes(helper: Alone, internet: Internet) -> None:
    """Until the authority issues, a certificate of the bundle's own is published at once."""
    internet.control(acme=[{"status": 503}])
    helper.start()
    wait_until(lambda: bool(read_live(helper.stack)), "there is a placeholder", 30)
    assert "Pebble" not in read_live(helper.stack)[0].issuer.rfc4514_string()
    internet.control(acme=[])
    wait_until(lambda: helper.renew().returncode == 0, "it is issued", 60)
    assert helper.is_issued()


def test_a_valid_certificate_is_not_issued_again(helper: Alone, internet: Internet) -> None:
    """A restart and a question before its time cost no order."""
    helper.start()
    serial = helper.wait_issued().serial_number
    helper.restart()
    wait_until(lambda: helper.renew().returncode == 0, "it was asked", 30)
    assert read_live(helper.stack)[0].serial_number == serial
    assert internet.count(ORDER) == 1


def test_renews_when_the_authority_says_so(helper: Alone, internet: Internet) -> None:
    """Renewal information of the authority decides; the new certificate replaces the old one."""
    helper.start()
    first = f"{helper.wait_issued().serial_number:x}"
    internet.control(renewal="past")
    assert helper.renew().returncode == 0
    assert helper.is_issued(other_than=first)
    assert f"{read_live(helper.stack, 'previous.pem')[0].serial_number:x}" == first


def test_loses_its_volume_and_keeps_serving(helper: Alone, internet: Internet) -> None:
    """Without certbot's memory the published certificate stays, until one new order replaces it."""
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


def test_two_at_once_do_not_meet(helper: Alone, internet: Internet) -> None:
    """Several renewals at the same moment issue once, and leave a certificate that is whole."""
    helper.start()
    first = f"{helper.wait_issued().serial_number:x}"
    internet.control(renewal="past")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: helper.renew(), range(3)))
    assert helper.is_issued(other_than=first)
    internet.control(renewal=None)
    assert helper.renew().returncode == 0
    assert internet.look()["records"] == []


def test_short_lives_are_renewed_in_time(
    running_internet: Internet, internet: Internet, tmp_path: Path
) -> None:
    """A certificate of three minutes is left alone at first, and renewed by itself in time."""
    # Pebble's own suggestion is a moment within a day, whatever the life: lives of minutes need none.
    internet.control(acme=[{"status": 404, "path": "renewalInfo"}])
    alone = Alone(stack=generate_bundle(tmp_path, "brief", running_internet, authority="brief"))
    try:
        alone.start()
        leaf = alone.wait_issued()
        assert alone.renew().returncode == 0
        assert alone.is_issued()
        serial = f"{leaf.serial_number:x}"
        assert f"{read_live(alone.stack)[0].serial_number:x}" == serial
        renewed = alone.wait_issued(other_than=serial, patience=LIFETIMES["brief"] + PATIENCE)
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert leaf.not_valid_before_utc + life / 2 < renewed.not_valid_before_utc
        assert renewed.not_valid_before_utc < leaf.not_valid_after_utc
    finally:
        alone.remove()


def test_a_clock_that_is_ahead(helper: Alone, internet: Internet, tmp_path: Path) -> None:
    """Two days ahead the certificate is issued and used, and not asked for over and over."""
    library = copy_faketime(internet, tmp_path)
    ahead = {"LD_PRELOAD": "/libfaketime.so.1", "FAKETIME": "+2d"}
    ahead["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
    change_helper(helper.stack, environment=ahead, volumes=[f"{library}:/libfaketime.so.1:ro"])
    helper.start()
    helper.wait_issued()
    assert helper.renew().returncode == 0
    assert internet.count(ORDER) == 1

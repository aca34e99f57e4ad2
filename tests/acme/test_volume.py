"""The volume of the lineages is full or damaged: no certificate is wasted, and it heals by itself."""

from __future__ import annotations

import pytest
import yaml

from tests.acme.bundles import Alone
from tests.acme.internet import ORDER, Internet

pytestmark = pytest.mark.engine

PLACE = "/etc/letsencrypt"
# A filesystem of its own, so that a full one harms nothing else.
SMALL = {"type": "tmpfs", "device": "tmpfs", "o": "size=8m,uid=993,gid=993,mode=0755"}


def in_helper(helper: Alone, script: str) -> str:
    """Run a shell script in the helper; return what it printed."""
    return helper.stack.compose("exec", "--no-TTY", "helper", "sh", "-c", script).stdout.strip()


def test_a_full_volume_costs_no_certificate(helper: Alone, internet: Internet) -> None:
    """Nothing is ordered while it is full, the reason is reported, and room alone fixes it."""
    override = helper.stack.directory / "compose.override.yaml"
    content = yaml.safe_load(override.read_text())
    content["volumes"] = {"letsencrypt": {"driver_opts": SMALL}}
    override.write_text(yaml.safe_dump(content))
    internet.control(acme=[{"status": 503}])
    helper.start()
    helper.wait_problem("pebble")
    in_helper(helper, f"dd if=/dev/zero of={PLACE}/ballast bs=64k 2>/dev/null || true")
    internet.reset()
    for _ in range(3):
        done = helper.renew()
        assert done.returncode == 1
        assert "No space left on device" in done.stdout + done.stderr
    assert internet.count(ORDER) == 0
    helper.wait_problem("No space left on device", "volume `letsencrypt`")
    in_helper(helper, f"rm {PLACE}/ballast")
    done = helper.renew()
    assert done.returncode == 0, done.stdout + done.stderr
    assert helper.is_issued()
    assert internet.count(ORDER) == 1
    assert helper.status()["problem"] is None


def test_a_damaged_lineage_is_replaced_under_its_own_name(
    helper: Alone, internet: Internet
) -> None:
    """An empty renewal file does not send the next certificate to a place where it is never found."""
    helper.start()
    first = helper.wait_issued()
    in_helper(helper, f"for file in {PLACE}/renewal/*.conf; do : >$file; done")
    done = helper.renew()
    assert done.returncode == 0, done.stdout + done.stderr
    assert helper.is_issued(f"{first.serial_number:x}")
    assert len(in_helper(helper, f"ls -d {PLACE}/live/*/").split()) == 1
    assert "-0001" not in in_helper(helper, f"ls {PLACE}/live {PLACE}/renewal")
    assert "were damaged" in done.stdout + done.stderr

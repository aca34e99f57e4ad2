"""What goes wrong outside: each failure is reported with its cause, and what was served stays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acme.bundles import HOMESERVER, Alone, read_live
from tests.acme.internet import CHALLENGE, ORDER, TOKEN, Internet
from tests.stack.stacks import wait_until

pytestmark = pytest.mark.engine

RECORD = f"_acme-challenge.{HOMESERVER}"
SLOW_DOWN = "Please wait and consider throttling your request speed"
FAILURES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown token": ({"tokens": {}}, ("token",)),
    "token of another zone": ({"tokens": {TOKEN: ["other.test"]}}, ("zone",)),
    "API slows down": (
        {"cloudflare": [{"status": 429, "code": 971, "message": SLOW_DOWN, "retry_after": 1}]},
        ("Cloudflare", "429"),
    ),
    "API is down": ({"cloudflare": [{"status": 502}]}, ("Cloudflare",)),
    "authority is down": ({"acme": [{"status": 503}]}, ("pebble",)),
    "authority has had enough": (
        {
            "acme": [
                {
                    "path": ORDER,
                    "status": 429,
                    "kind": "rateLimited",
                    "message": "too many certificates (5) already issued for this exact set of"
                    " identifiers in the last 168h0m0s, retry after 2027-01-02 03:04:05 UTC",
                    "retry_after": 3600,
                }
            ]
        },
        ("rate limit", "2027-01-02"),
    ),
    "record never appears": (
        {"delays": {"bob": None}},
        ("did not appear in DNS",),
    ),
    "zone is elsewhere": (
        {"nameservers": ["ns1.elsewhere.test"]},
        ("not delegated to Cloudflare", "ns1.elsewhere.test"),
    ),
    "CAA": (
        {"records": [["example.test", "CAA", '0 issue "other-authority.test"']]},
        ("CAA", "other-authority.test", "pebble.test"),
    ),
    "old alias": (
        {"records": [[RECORD, "CNAME", "old.other.test"]]},
        ("CNAME", "old.other.test"),
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_tells_what_is_wrong_and_goes_on_when_it_is_mended(
    helper: Alone, internet: Internet, name: str
) -> None:
    """Each failure is in the status in words, asks for nothing in a loop, and heals."""
    switches, words = FAILURES[name]
    internet.control(**switches)
    helper.start()
    problem = helper.wait_problem(*words)
    assert TOKEN not in problem
    assert read_live(helper.stack), "nothing is served"
    assert internet.count(ORDER) <= 1
    if "delays" in switches:
        assert internet.count(CHALLENGE) == 0
        assert internet.look()["records"] == []
    internet.reset()
    done = helper.renew()
    assert done.returncode == 0, done.stdout + done.stderr
    assert helper.is_issued()


def test_waits_for_the_slowest_name_server(helper: Alone, internet: Internet) -> None:
    """The authority is asked to look only when the last name server shows the record."""
    internet.control(delays={"ada": 1, "bob": 5})
    helper.start()
    helper.wait_issued()
    requests = internet.look()["requests"]
    made = next(r["time"] for r in requests if r["path"].endswith("dns_records"))
    asked = next(r["time"] for r in requests if CHALLENGE in r["path"])
    assert asked - made >= 5


def test_sleeps_where_name_servers_can_not_be_asked(helper: Alone, internet: Internet) -> None:
    """A closed port 53 makes it wait without looking, and it says so."""
    internet.control(authorities="drop")
    helper.start()
    helper.wait_issued()
    wait_until(lambda: "port 53" in helper.logs(), "it says so", 10)


def test_keeps_the_old_certificate_when_renewal_fails(helper: Alone, internet: Internet) -> None:
    """A failed renewal leaves what is published byte for byte, and says why by its exit code."""
    helper.start()
    first = helper.wait_issued()
    internet.control(renewal="past", acme=[{"status": 500, "path": "/finalize-order/"}])
    done = helper.renew()
    assert done.returncode == 1, done.stdout + done.stderr
    assert read_live(helper.stack)[0] == first
    assert internet.look()["records"] == []

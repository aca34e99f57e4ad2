"""What would make an authority refuse is found in DNS before it is asked."""

from __future__ import annotations

from bundle_helper.certificates import preflight
from tests.helper.nameserver import NameServer

NAME = "matrix.example.test"
CLOUDFLARE = {
    ("example.test", "SOA"): ["ada.ns.cloudflare.com. dns.cloudflare.com. 1 1 1 1 1"],
    ("example.test", "NS"): ["ada.ns.cloudflare.com."],
    (NAME, "A"): ["192.0.2.1"],
}


def inspect(extra: dict[tuple[str, str], list[str]], *, asked: tuple[str, ...] = ("letsencrypt.org",)) -> tuple[str, ...]:  # fmt: skip
    with NameServer({**CLOUDFLARE, **extra}) as server:
        return preflight.find_obstacles([NAME], asked, server.resolver())


def test_a_sound_zone_has_no_obstacle() -> None:
    """Cloudflare's name servers and no CAA record: the authority may be asked."""
    assert inspect({}) == ()


def test_a_zone_elsewhere_is_named_with_its_servers() -> None:
    """A record written at Cloudflare would never be seen."""
    (obstacle,) = inspect(
        {
            ("example.test", "SOA"): ["ns1.other.example. hostmaster.other.example. 1 1 1 1 1"],
            ("example.test", "NS"): ["ns1.other.example."],
        }
    )
    assert "not delegated to Cloudflare but to ns1.other.example" in obstacle


def test_name_servers_of_one_s_own_at_cloudflare_are_no_obstacle() -> None:
    """Behind a customer's own server names the zone still names Cloudflare as its keeper."""
    assert inspect({("example.test", "NS"): ["ns1.example.test."]}) == ()


def test_a_caa_record_for_another_authority_is_an_obstacle() -> None:
    """The closest record set decides, and the message says what to add."""
    (obstacle,) = inspect({("example.test", "CAA"): ['0 issue "other.example"']})
    assert "permits only other.example" in obstacle
    assert '0 issue "letsencrypt.org"' in obstacle


def test_a_caa_record_that_permits_is_none() -> None:
    """Parameters after the name, other tags and a stricter parent do not matter."""
    permitted = ['0 issue "letsencrypt.org; validationmethods=dns-01"', '0 iodef "mailto:a@b.c"']
    assert inspect({(NAME, "CAA"): permitted, ("example.test", "CAA"): ['0 issue ";"']}) == ()
    assert inspect({("example.test", "CAA"): ['0 issuewild ";"']}) == ()


def test_an_authority_without_a_name_is_not_judged_by_caa() -> None:
    """A private authority need not know CAA."""
    assert inspect({("example.test", "CAA"): ['0 issue ";"']}, asked=()) == ()


def test_a_left_over_alias_is_named() -> None:
    """A CNAME at _acme-challenge hides the TXT record that would be written."""
    (obstacle,) = inspect({(f"_acme-challenge.{NAME}", "CNAME"): ["old.tool.example."]})
    assert f"_acme-challenge.{NAME} is a CNAME to old.tool.example" in obstacle


def test_a_wildcard_alias_is_no_obstacle() -> None:
    """`*` answers for names that are not there; the TXT record will be, and is then seen itself."""
    assert inspect({(f"*.{NAME}", "CNAME"): ["web.other.example."]}) == ()
    absent = {("*.example.test", "CNAME"): ["web.other.example."], (NAME, "A"): []}
    assert inspect(absent) == ()


def test_a_left_over_alias_beside_a_wildcard_is_named() -> None:
    """A record of the challenge's own name leads elsewhere than the wildcard does."""
    (obstacle,) = inspect(
        {
            (f"*.{NAME}", "CNAME"): ["web.other.example."],
            (f"_acme-challenge.{NAME}", "CNAME"): ["old.tool.example."],
        }
    )
    assert f"_acme-challenge.{NAME} is a CNAME to old.tool.example" in obstacle


def test_dns_that_does_not_answer_is_no_obstacle() -> None:
    """What cannot be seen from here is left to the authority."""
    with NameServer({}) as server:
        resolver = server.resolver()
        resolver.lifetime = 0.2
    assert preflight.find_obstacles([NAME], ("letsencrypt.org",), resolver) == ()

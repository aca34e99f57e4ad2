"""Whatever can be wrong with a server is named in one sentence, in the tester's own field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.helper.example_org import GOOD, B, C, ExampleOrg, find
from tests.helper.small_internet import KEYS, VERSION, WELL_KNOWN, Reply, page
from tests.support.authority import NOW, issue

HOST = "matrix.example.org"
CERTIFICATE = "ConnectionReports/*/Errors"
CONNECTION = "ConnectionErrors/*/Message"
LOOKUP = "DNSResult/Hosts/*/Error/Message"
RESULT = "WellKnownResult/result"


def redirect(target: str) -> Reply:
    """Return an answer that sends elsewhere."""
    return page(status=302, Location=target)


def move(internet: ExampleOrg, *targets: str) -> None:
    """Let SRV records lead to the homeserver instead of a well-known document."""
    internet.direct(page(status=404))
    internet.name("_matrix._tcp.example.org", "SRV", *(f"10 5 443 {target}" for target in targets))


CASES: tuple[tuple[str, Callable[[ExampleOrg], object], str, str], ...] = (
    # The certificate.
    ("unknown authority", lambda w: w.matrix.present(issue(HOST, issue("a stranger"))), CERTIFICATE,
     "does not lead to a known root"),
    ("self-signed", lambda w: w.matrix.present(issue(HOST)), CERTIFICATE, "does not lead to a known root"),
    ("other name", lambda w: w.matrix.present(issue("example.org", w.root)), CERTIFICATE,
     "is for another name"),
    ("a common name alone", lambda w: w.matrix.present(issue(HOST, w.root, named=False)),
     CERTIFICATE, "is for another name"),
    ("expired", lambda w: w.matrix.present(issue(HOST, w.root, end=NOW)), CERTIFICATE,
     "has expired"),
    ("too early", lambda w: w.matrix.present(issue(HOST, w.root, begin=NOW + timedelta(1))),
     CERTIFICATE, "is not valid yet"),
    # The connection.
    ("no TLS", lambda w: setattr(w.matrix, "tls", None), CONNECTION, "does not speak TLS"),
    ("closed", lambda w: w.close(), CONNECTION, "refuses connections"),
    ("silent", lambda w: w.silent.update({B, C}), CONNECTION, "did not answer in time"),
    ("cut", lambda w: setattr(w.matrix.pages[KEYS], "missing", 5), CONNECTION,
     "cut the connection"),
    # The keys.
    ("challenge", lambda w: w.answer(page(cf_mitigated="challenge", status=403)), CONNECTION,
     "a challenge page of Cloudflare"),
    ("block", lambda w: w.answer(page(Server="cloudflare", status=403)), CONNECTION,
     "refused by Cloudflare"),
    ("block in few words", lambda w: w.answer(Reply(
        body=b"error code: 1010", status=403, headers={"Server": "cloudflare"})), CONNECTION,
     "is refused by Cloudflare (403, error code: 1010)"),
    ("refused behind Cloudflare", lambda w: w.answer(Reply(
        body={"errcode": "M_FORBIDDEN"}, status=403, headers={"Server": "cloudflare"})), CONNECTION,
     "is answered with 403 instead of 200"),
    ("no tunnel", lambda w: w.answer(page(Server="cloudflare", status=530)), CONNECTION,
     "Cloudflare's own error 530"),
    ("HTML", lambda w: w.answer(page()), CONNECTION, "a page of HTML instead of JSON (200)"),
    ("no such path", lambda w: w.matrix.pages.pop(KEYS), CONNECTION, "404 instead of 200"),
    ("a list", lambda w: w.answer(Reply(body=[])), CONNECTION, "is not a JSON object"),
    ("no number", lambda w: w.answer(Reply(body=b'{"a":NaN}')), CONNECTION, "is not a JSON object"),
    ("deep", lambda w: w.answer(Reply(body=b'{"a":' * 90 + b"1" + b"}" * 90)), CONNECTION,
     "is not a JSON object"),
    ("deeper", lambda w: w.answer(Reply(body=b'{"a":' * 9000)), CONNECTION, "is not a JSON object"),
    ("long", lambda w: w.answer(Reply(body={"a": "b" * 70_000})), CONNECTION, "is not a JSON object"),
    # The version.
    ("no version", lambda w: w.matrix.pages.pop(VERSION), "Version/error", "404 instead of 200"),
    ("nobody's version", lambda w: w.answer(Reply(body={"server": {"name": 7}}), VERSION),
     "Version/error", "does not name a server"),
    # DNS.
    ("no name", lambda w: [w.dns.table.pop((HOST, kind)) for kind in ("A", "AAAA")], LOOKUP,
     "does not exist"),
    ("no address", lambda w: [w.name(HOST, kind) for kind in ("A", "AAAA")], LOOKUP,
     "has no address"),
    ("broken zone", lambda w: w.dns.broken.add(HOST), LOOKUP, "gave no answer"),
    ("half a broken zone", lambda w: (w.name(HOST, "AAAA"), w.dns.broken.add(f"{HOST} A")), LOOKUP,
     "gave no answer"),
    ("broken service", lambda w: (move(w), w.dns.broken.add("_matrix-fed._tcp.example.org")),
     "DNSResult/SRVError/Message", "gave no answer for _matrix-fed._tcp.example.org"),
    ("no service", lambda w: move(w, "."), "DNSResult/SRVError/Message", "service does not exist"),
    ("service at an alias", lambda w: (move(w, "box.example.net."),
                                       w.name("box.example.net", "CNAME", f"{HOST}.")),
     LOOKUP, "is an alias of matrix.example.org."),
    # A delegate that is none is followed by homeservers, and leads nowhere.
    ("a URL", lambda w: w.direct(Reply(body={"m.server": "https://x.org"})), "Error",
     "names an m.server that is not usable"),
    ("a wrong port", lambda w: w.direct(Reply(body={"m.server": "x.org:99999"})), RESULT,
     "ports end at 65535"),
    # Any other well-known is passed over, and nobody listens on port 8448 of example.org.
    ("no well-known", lambda w: w.direct(page(status=404)), RESULT, "does not exist (404)"),
    ("well-known challenge", lambda w: w.direct(page(cf_mitigated="challenge", status=403)), RESULT,
     "a challenge page of Cloudflare"),
    ("challenge as 404", lambda w: w.direct(page(cf_mitigated="challenge", status=404)), RESULT,
     "a challenge page of Cloudflare"),
    ("well-known HTML", lambda w: w.direct(page()), RESULT, "a page of HTML instead of JSON"),
    ("HTML as JSON", lambda w: w.direct(Reply(body=b"<p>", headers={"Content-Type": "text/json"})),
     RESULT, "a page of HTML instead of JSON"),
    ("no JSON", lambda w: w.direct(Reply(body=b"{")), RESULT, "is not a JSON object"),
    ("no object", lambda w: w.direct(Reply(body=["m.server"])), RESULT, "is not a JSON object"),
    ("no m.server", lambda w: w.direct(Reply(body={})), RESULT, "does not name m.server"),
    ("an empty m.server", lambda w: w.direct(Reply(body={"m.server": ""})), RESULT,
     "does not name m.server"),
    ("a number", lambda w: w.direct(Reply(body={"m.server": 443})), RESULT, "does not name m.server"),
    ("an error", lambda w: w.direct(Reply(body=GOOD, status=500)), RESULT, "500 instead of 200"),
    ("too large", lambda w: w.direct(Reply(body={**GOOD, "x": "y" * 70_000})), RESULT,
     "is larger than 64 KiB"),
    ("a circle", lambda w: w.direct(redirect(WELL_KNOWN)), RESULT, "redirects in a circle"),
    ("a long way", lambda w: (w.direct(redirect("/0")), w.apex.pages.update(
        {f"/{n}": redirect(f"/{n + 1}") for n in range(9)})), RESULT, "more than 5 times"),
    ("not HTTPS", lambda w: w.direct(redirect("http://example.org/")), RESULT,
     "a redirect leads to 'http://example.org/'"),
    ("no URL", lambda w: w.direct(redirect("https://[")), RESULT, "a redirect leads to 'https://['"),
    ("a user", lambda w: w.direct(redirect("https://me@x.org/")), RESULT, "a redirect leads to"),
    ("well-known of another", lambda w: w.apex.present(issue("x.org", w.root)), RESULT,
     "is for another name"),
    ("well-known cut", lambda w: w.direct(Reply(body=GOOD, missing=5)), RESULT,
     "cut the connection"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "field", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_fault_is_named_in_its_field(
    internet: ExampleOrg, break_it: Callable[[ExampleOrg], object], field: str, words: str
) -> None:
    """What is broken is said in its own words, and federation is not called good."""
    break_it(internet)
    told = internet.report()
    assert told["FederationOK"] is False
    found = [str(value) for value in find(told, field)]
    assert found
    assert all(words in value for value in found), found


def test_redirects_end(internet: ExampleOrg) -> None:
    """A site that sends on and on is asked six times, and then no more."""
    internet.direct(redirect("/0"))
    internet.apex.pages |= {f"/{n}": redirect(f"/{n + 1}") for n in range(99)}
    internet.report()
    assert len(internet.apex.asked) == 6


def test_a_service_record_that_fails_is_a_fault_even_where_a_guess_answers(
    internet: ExampleOrg,
) -> None:
    """Homeservers give up when a resolver fails, and do not guess port 8448."""
    move(internet)
    internet.serve("example.org", "192.0.2.1:8448", pages=internet.matrix.pages)
    assert internet.report()["FederationOK"] is True
    internet.dns.broken.add("_matrix._tcp.example.org")
    told = internet.report()
    assert told["FederationOK"] is False
    assert told["ConnectionReports"]["192.0.2.1:8448"]["Checks"]["AllChecksOK"] is True


def test_a_bad_well_known_is_passed_over_where_the_name_itself_answers(
    internet: ExampleOrg,
) -> None:
    """As in the specification: federation works, and the fault is reported all the same."""
    internet.direct(Reply(body=b"{"))
    internet.serve("example.org", "192.0.2.1:8448", pages=internet.matrix.pages)
    told = internet.report()
    assert told["FederationOK"] is True
    assert "is not a JSON object" in told["WellKnownResult"]["result"]
    assert told["DNSResult"]["Addrs"] == ["192.0.2.1:8448"]

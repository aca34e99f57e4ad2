"""The federation proof: a good server passes in the tester's own words, a bad one in none."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from signedjson.key import generate_signing_key

from tests.helper.example_org import PLACES, B, C, ExampleOrg, find
from tests.helper.small_internet import KEYS, sign_keys
from tests.support.authority import issue


def test_a_good_server_is_reported_in_the_words_of_the_federation_tester(
    internet: ExampleOrg,
) -> None:
    """Every field of the tester is there, by its own name and of its own kind."""
    begun = int(time.time())
    told = internet.report()
    assert list(told) == [
        *("WellKnownResult", "DNSResult", "ConnectionReports", "ConnectionErrors", "Version"),
        "FederationOK",
    ]
    assert told["FederationOK"] is True
    assert told["WellKnownResult"]["m.server"] == "matrix.example.org:443"
    assert begun + 3600 <= told["WellKnownResult"]["CacheExpiresAt"] <= time.time() + 3600
    assert told["DNSResult"] == {
        "SRVSkipped": True,
        "SRVCName": "",
        "SRVRecords": [],
        "SRVError": None,
        "Hosts": {
            "matrix.example.org": {"CName": "matrix.example.org.", "Addrs": [B, C], "Error": None}
        },
        "Addrs": list(PLACES),
    }
    assert told["ConnectionErrors"] == {}
    assert told["Version"] == {"name": "Synapse", "version": "1.157.2"}
    assert list(told["ConnectionReports"]) == list(PLACES)
    one = told["ConnectionReports"][PLACES[0]]
    document = internet.matrix.pages[KEYS].body
    key = document["verify_keys"]["ed25519:a_TEST"]["key"]
    (certificate,) = one.pop("Certificates")
    assert certificate["SubjectCommonName"] == "matrix.example.org"
    assert certificate["IssuerCommonName"] == "public root of the tests"
    assert certificate["DNSNames"] == ["matrix.example.org"]
    assert len(certificate["SHA256Fingerprint"]) == 43
    assert one.pop("Cipher")["Version"] == "TLS 1.3"
    assert one == {
        "Checks": {
            "AllChecksOK": True,
            "MatchingServerName": True,
            "FutureValidUntilTS": True,
            "HasEd25519Key": True,
            "AllEd25519ChecksOK": True,
            "Ed25519Checks": {"ed25519:a_TEST": {"ValidEd25519": True, "MatchingSignature": True}},
            "ValidCertificates": True,
        },
        "Errors": [],
        "Ed25519VerifyKeys": {"ed25519:a_TEST": key},
        "Info": {"TrustedBy": "public roots"},
        "Keys": document,
    }
    assert {agent for *_, agent in internet.matrix.asked} == {"synapse-bundle-check"}


def forge(internet: ExampleOrg) -> None:
    """Change the keys after they were signed."""
    internet.matrix.pages[KEYS].body["old_verify_keys"] = {
        "ed25519:x": {"key": "", "expired_ts": 1}
    }


def sign_with_another(internet: ExampleOrg) -> None:
    """Publish one key and sign with another of the same name."""
    strange = sign_keys("example.org", generate_signing_key("a_TEST"))
    internet.matrix.pages[KEYS].body["signatures"] = strange["signatures"]


@pytest.mark.parametrize(
    ("break_it", "field"),
    [
        (lambda w: w.publish(valid_until_ts=int(time.time() - 1) * 1000), "FutureValidUntilTS"),
        (lambda w: w.publish(valid_until_ts=None), "FutureValidUntilTS"),
        (lambda w: w.publish(valid_until_ts="9999999999999"), "FutureValidUntilTS"),
        (lambda w: w.publish(server_name="example.com"), "MatchingServerName"),
        (lambda w: w.publish(verify_keys={}), "HasEd25519Key"),
        (lambda w: w.publish(verify_keys={"rsa:a": {"key": "x"}}), "HasEd25519Key"),
        (lambda w: w.publish(verify_keys=None), "HasEd25519Key"),
        (forge, "AllEd25519ChecksOK"),
        (sign_with_another, "AllEd25519ChecksOK"),
        (lambda w: w.matrix.pages[KEYS].body.pop("signatures"), "AllEd25519ChecksOK"),
        (lambda w: w.matrix.pages[KEYS].body.update(signatures=[]), "AllEd25519ChecksOK"),
        (lambda w: w.publish(verify_keys={"ed25519:a_TEST": {"key": "AAAA"}}), "AllEd25519ChecksOK"),
        (lambda w: w.publish(verify_keys={"ed25519:a_TEST": 7}), "AllEd25519ChecksOK"),
        (lambda w: w.matrix.present(issue("matrix.example.org")), "ValidCertificates"),
    ],
)  # fmt: skip
def test_a_check_that_fails_is_the_testers_own(
    internet: ExampleOrg, break_it: Callable[[ExampleOrg], None], field: str
) -> None:
    """One broken thing turns one check of each address, and with it the whole."""
    break_it(internet)
    told = internet.report()
    assert told["FederationOK"] is False
    assert list(told["ConnectionReports"]) == list(PLACES)
    for checks in find(told, "ConnectionReports/*/Checks"):
        wrong = {name for name, value in checks.items() if value is False}
        assert wrong == {field, "AllChecksOK"}
        assert (checks["AllEd25519ChecksOK"] is None) is (field == "HasEd25519Key")
    for usable in find(told, "ConnectionReports/*/Ed25519VerifyKeys"):
        assert (usable is not None) is (field == "ValidCertificates")

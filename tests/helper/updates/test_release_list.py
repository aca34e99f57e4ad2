"""A list counts if a trusted key has signed every byte of it, and what it says makes sense."""

from __future__ import annotations

import base64
import contextlib
from datetime import date
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle_helper.updates.release_list import LARGEST, InvalidListError, open_list, read_keys
from bundle_helper.updates.version_numbers import parse_version
from tests.helper.updates.conftest import sign, write_content, write_part

KEY = Ed25519PrivateKey.generate()
GOOD = sign(KEY, write_content())


def test_a_signed_list_says_what_was_signed() -> None:
    """Serial number, days, and the releases with the newest first."""
    content = write_content(7, issued="2026-11-27", expires="2027-01-11")
    found = open_list(sign(KEY, content), [KEY.public_key()])
    assert (found.serial, found.issued, found.expires) == (7, date(2026, 11, 27), date(2027, 1, 11))
    part = found.parts["synapse"]
    assert [release.version for release in part.releases] == ["1.164.2", "1.163.2"]
    assert (part.floor, part.advice) == ("1.163.2", "Install 1.164.2.")


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_no_other_byte_is_taken(at: int, byte: int) -> None:
    """Changed anywhere, in the signature or in what it signs, it is refused."""
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    if changed == GOOD:
        return
    with pytest.raises(InvalidListError):
        open_list(changed, [KEY.public_key()])


def test_a_signature_is_written_in_one_way() -> None:
    """Bits of the last character that Base64 does not use are zero, as a signer writes them."""
    line, _, signed = GOOD.partition(b"\n")
    last = line.rstrip(b"=")[-1:]
    other = bytes([last[0] + 1])
    changed = line.replace(last + b"==", other + b"==")
    assert base64.b64decode(changed, validate=True) == base64.b64decode(line)
    with pytest.raises(InvalidListError, match="not a signature"):
        open_list(changed + b"\n" + signed, [KEY.public_key()])


@given(data=st.binary(max_size=300))
def test_anything_else_is_refused_in_a_sentence(data: bytes) -> None:
    """No bytes end in another exception."""
    with pytest.raises(InvalidListError):
        open_list(data, [KEY.public_key()])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@settings(max_examples=60)
@given(
    content=JSON
    | st.fixed_dictionaries(
        {
            "format": st.just(1) | JSON,
            "serial": st.just(1) | JSON,
            "issued": st.just("2026-11-27") | JSON,
            "expires": st.just("2026-11-27") | JSON,
            "parts": st.dictionaries(st.just("synapse"), JSON) | JSON,
        }
    )
)
def test_nonsense_that_is_signed_is_refused_in_a_sentence(content: Any) -> None:
    """A mistake of the publisher's does not end a reader."""
    with contextlib.suppress(InvalidListError):
        open_list(sign(KEY, content), [KEY.public_key()])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "a newer synapse-bundle reads it"),
        ({"serial": True}, "True is not a serial number"),
        ({"serial": 0}, "0 is not a serial number"),
        ({"expires": "soon"}, "Invalid isoformat string"),
        ({"parts": {"../x": write_part("1")}}, "'../x' is not the name of a part"),
        ({"parts": {"x": {"advice": "", "releases": []}}}, "a part has no release"),
        ({"parts": {"x": write_part("latest")}}, "'latest' is not a version"),
        ({"parts": {"x": write_part("1") | {"floor": "0.9"}}}, "'0.9' is not among the releases"),
        ({"parts": {"x": write_part("1") | {"advice": "a\nb"}}}, "advice is one line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_malformed_is_named(changes: dict[str, Any], words: str) -> None:
    """The publisher learns from the sentence what to mend."""
    with pytest.raises(InvalidListError, match=words):
        open_list(sign(KEY, write_content(**changes)), [KEY.public_key()])


def test_neither_depth_nor_encoding_nor_size_ends_a_reader() -> None:
    """What a parser would stumble over is refused as well."""
    for text in (b"[" * 9000, '{"format": 1}'.encode("utf-16"), b"\xff", b""):
        with pytest.raises(InvalidListError, match="malformed"):
            open_list(sign(KEY, text), [KEY.public_key()])
    with pytest.raises(InvalidListError, match=f"more than {LARGEST} bytes"):
        open_list(GOOD + b" " * LARGEST, [KEY.public_key()])


def test_a_list_may_be_signed_by_any_key_of_the_file() -> None:
    """So a key is replaced: readers trust both for a while, and a lost one no longer."""
    old, new = Ed25519PrivateKey.generate(), KEY
    pem = b"# ours\n" + b"".join(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in (old, new)
    )
    keys = read_keys(pem)
    assert open_list(GOOD, keys).serial == 1
    assert open_list(sign(old, write_content(3)), keys).serial == 3
    with pytest.raises(InvalidListError, match="forged or damaged"):
        open_list(sign(old, write_content(3)), keys[1:])


def test_a_file_without_such_a_key_is_refused() -> None:
    """Neither nothing nor a key of another kind."""
    with pytest.raises(ValueError, match="no public key"):
        read_keys(b"")
    other = generate_private_key(SECP256R1()).public_key()
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        read_keys(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    "ordered",
    [
        ["1.9", "1.152.1", "1.163.2", "1.164.0rc1", "1.164.0rc3", "v1.164", "1.164.0.1", "1.164.2"],
        ["17.9", "17.12 (Debian 17.12-1.pgdg13+1)", "18"],
        ["2026.8.2", "2026.10.2", "2026.11.0"],
        ["2026-02-28", "2026-11-04", "2026-11-24"],
    ],
    ids=lambda versions: versions[0],
)
def test_versions_are_ordered_by_their_numbers(ordered: list[str]) -> None:
    """Not as text; a candidate comes before its release."""
    backwards = ordered[::-1]
    assert sorted(backwards, key=parse_version) == ordered
    assert len({parse_version(version) for version in ordered}) == len(ordered)
    assert parse_version("1.164") == parse_version("v1.164.0")


@pytest.mark.parametrize("text", ["", "latest", "17-trixie", "1..2", "1.2.", "½", "9" * 99])
def test_what_is_no_version_is_refused(text: str) -> None:
    """It is not compared at all."""
    with pytest.raises(ValueError, match="is not a version"):
        parse_version(text)

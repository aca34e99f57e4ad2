"""Server discovery goes the specification's steps, in their order and with their Host headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle_helper.federation.names import parse_server_name
from bundle_helper.federation.proof import FederationProof, prove
from tests.helper.small_internet import WELL_KNOWN, Reply, SmallInternet, matrix_pages, page

A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8::2"
DELEGATED = {"m.server": "matrix.example.org"}


@pytest.fixture
def bare() -> Iterator[SmallInternet]:
    """Return an internet in which example.org has a web site without a Matrix page."""
    with SmallInternet() as internet:
        internet.name("example.org", "A", A)
        internet.serve("example.org", f"{A}:443")
        yield internet


def look(internet: SmallInternet, name: str = "example.org") -> FederationProof:
    """Prove a server of the internet."""
    return prove(parse_server_name(name), internet.network(), patience=5)


def delegate(internet: SmallInternet, target: str) -> None:
    """Publish a well-known document at example.org."""
    site = next(iter(internet.sites.values()))
    site.pages[WELL_KNOWN] = Reply(body={"m.server": target})


@pytest.mark.parametrize(
    ("name", "address", "port", "sni"),
    [
        ("192.0.2.2", B, 8448, None),
        ("192.0.2.2:8000", B, 8000, None),
        ("[2001:db8::2]", C, 8448, None),
        ("[2001:db8::2]:8000", C, 8000, None),
        ("matrix.example.org:8000", B, 8000, "matrix.example.org"),
    ],
)
def test_an_address_or_a_port_is_asked_at_once(
    bare: SmallInternet, name: str, address: str, port: int, sni: str | None
) -> None:
    """Steps 1 and 2: neither well-known nor SRV is asked for, and an address is never an SNI."""
    bare.name("matrix.example.org", "A", B)
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    site = bare.serve(sni or address, place, pages=matrix_pages(name))
    proof = look(bare, name)
    assert proof.ok, proof
    assert "not asked for" in proof.delegation.absent
    assert {(asked[0], asked[1]) for asked in site.asked} == {(sni, name)}
    assert next(iter(bare.sites.values())).asked == []


@pytest.mark.parametrize(
    ("target", "place", "sni"),
    [
        ("192.0.2.2", f"{B}:8448", None),
        ("192.0.2.2:443", f"{B}:443", None),
        ("[2001:db8::2]:443", f"[{C}]:443", None),
        ("matrix.example.org:443", f"{B}:443", "matrix.example.org"),
        ("matrix.example.org", f"{B}:8448", "matrix.example.org"),
    ],
)
def test_a_delegate_is_asked_as_itself(
    bare: SmallInternet, target: str, place: str, sni: str | None
) -> None:
    """Steps 3.1, 3.2 and 3.5: certificate and Host are the delegate's, the keys the server's."""
    delegate(bare, target)
    bare.name("matrix.example.org", "A", B)
    certified = sni or place.rpartition(":")[0].strip("[]")
    site = bare.serve(certified, place, pages=matrix_pages("example.org"))
    proof = look(bare)
    assert proof.ok, proof
    assert {(asked[0], asked[1]) for asked in site.asked} == {(sni, target)}


@pytest.mark.parametrize("service", ["_matrix-fed._tcp", "_matrix._tcp"])
@pytest.mark.parametrize("delegated", [True, False])
def test_a_service_record_leads_to_host_and_port(
    bare: SmallInternet, service: str, *, delegated: bool
) -> None:
    """Steps 3.3, 3.4, 4 and 5: the record moves the connection, not the name in the certificate."""
    host = "matrix.example.org" if delegated else "example.org"
    if delegated:
        delegate(bare, host)
    bare.name(f"{service}.{host}", "SRV", "10 5 8000 box.example.net.")
    bare.name("box.example.net", "A", B)
    site = bare.serve(host, f"{B}:8000", pages=matrix_pages("example.org"))
    proof = look(bare)
    assert proof.ok, proof
    assert {(asked[0], asked[1]) for asked in site.asked} == {(host, host)}


def test_the_registered_service_is_preferred(bare: SmallInternet) -> None:
    """Where both records are there, the deprecated one is not looked at."""
    bare.name("_matrix-fed._tcp.example.org", "SRV", "10 5 8000 box.example.net.")
    bare.name("_matrix._tcp.example.org", "SRV", "10 5 9000 box.example.net.")
    bare.name("box.example.net", "A", B)
    proof = look(bare)
    assert [str(place) for place in proof.faults] == [f"{B}:8000"]


def test_without_any_hint_the_name_itself_is_asked(bare: SmallInternet) -> None:
    """Step 6: port 8448, and a web site without a Matrix page is nothing to complain about."""
    site = bare.serve("example.org", f"{A}:8448", pages=matrix_pages("example.org"))
    proof = look(bare)
    assert proof.ok, proof
    assert "(404)" in proof.delegation.absent
    assert {asked[1] for asked in site.asked} == {"example.org"}


def test_every_address_is_tried_on_its_own(bare: SmallInternet) -> None:
    """One dead address of three is one fault, and the others are still proved."""
    bare.name("example.org", "A", A, B)
    bare.name("example.org", "AAAA", C)
    bare.serve("example.org", f"{A}:8448", f"[{C}]:8448", pages=matrix_pages("example.org"))
    proof = look(bare)
    assert sorted(map(str, proof.connections)) == [f"{A}:8448", f"[{C}]:8448"]
    assert [str(place) for place in proof.faults] == [f"{B}:8448"]
    assert not proof.ok


def test_an_address_that_only_this_machine_can_not_reach_is_left_out(bare: SmallInternet) -> None:
    """A Docker network without IPv6 says nothing about a server's IPv6 address."""
    bare.name("example.org", "AAAA", C)
    bare.without_way.add(C)
    bare.serve("example.org", f"{A}:8448", pages=matrix_pages("example.org"))
    proof = look(bare)
    assert proof.ok, proof
    assert "no way out by IPv6" in next(iter(proof.faults.values())).detail


def test_a_machine_without_any_way_proves_nothing(bare: SmallInternet) -> None:
    """What was left out everywhere was not proved."""
    bare.without_way.update({A})
    assert not look(bare).ok


def test_redirects_are_followed_with_their_query(bare: SmallInternet) -> None:
    """A web site may send the document's readers elsewhere, five times over."""
    bare.name("www.example.org", "A", B)
    pages = {f"/{n}?a=b%2Fc": page(status=302, Location=f"/{n + 1}?a=b%2Fc") for n in range(4)}
    pages["/4?a=b%2Fc"] = Reply(body=DELEGATED, headers={"Cache-Control": "public, max-age=3600"})
    bare.serve("www.example.org", f"{B}:443", pages=pages)
    apex = next(iter(bare.sites.values()))
    apex.pages[WELL_KNOWN] = page(status=308, Location="https://www.example.org/0?a=b%2Fc")
    assert str(look(bare).delegation.delegate) == "matrix.example.org"


@pytest.mark.parametrize(
    "text",
    ["", "example.org:", "example.org:0", "example.org:65536", "example.org:x", ".org", "a..b",
     "example.org.", "a_b.org", "ü.org", "1.2.3.256", "1.2.3", "2001:db8::2", "[192.0.2.2]",
     "[::1", "[::1]x", "[fe80::1%eth0]", "[]", "https://example.org", "me@example.org",
     "example.org/x", "example.org\n", " example.org", "a" * 64 + ".org", "a." * 127 + "org"],
)  # fmt: skip
def test_what_is_no_server_name_is_refused_in_one_line(text: str) -> None:
    """The grammar of the specification decides, and the refusal is fit for a terminal."""
    with pytest.raises(ValueError, match="is not a Matrix server name: ") as caught:
        parse_server_name(text)
    assert str(caught.value).isprintable()


_NAMES = st.one_of(
    st.text(max_size=300),
    st.from_regex(r"[A-Za-z0-9.:\[\]-]{0,80}", fullmatch=True),
    st.from_regex(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,4}(:[0-9]{1,5})?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]:8448"),
)


@given(name=_NAMES, target=_NAMES)
@example(name="a." * 125 + "org", target="")
@example(name="example.org", target="a." * 125 + "org")
def test_any_name_and_any_delegate_end_in_a_proof_or_a_refusal(name: str, target: str) -> None:
    """Discovery never raises: a name is refused in a line, everything later is in the proof."""
    try:
        parsed = parse_server_name(name)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", name)
    with SmallInternet() as internet:
        if not parsed.is_address and parsed.port is None:
            internet.name(parsed.host, "A", A)
            site = internet.serve(parsed.host, f"{A}:443")
            site.pages[WELL_KNOWN] = Reply(body={"m.server": target})
        proof = look(internet, name)
    assert not proof.ok

"""The outside view: what others get at the public names, and each way in which it goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from signedjson.key import generate_signing_key

from bundle_helper import cli
from bundle_helper.check import probes, runner
from bundle_helper.federation import network
from bundle_helper.findings import Row
from tests.helper.conftest import Bundle
from tests.helper.example_org import GOOD, ExampleOrg
from tests.helper.homeserver import CORS
from tests.helper.small_internet import KEYS, WELL_KNOWN, Reply, page, sign_keys
from tests.support.authority import issue

NAME, CLIENT, SERVER = NAMES = (
    "public name leads here",
    "public well-known client",
    "public well-known server",
)
DOCUMENT = "/.well-known/matrix/client"
BASE_URL = {"m.homeserver": {"base_url": "https://matrix.example.org/"}}


@pytest.fixture
def public(internet: ExampleOrg, bundle: Bundle) -> ExampleOrg:
    """Let the small internet lead to the bundle, by a Worker and the tunnel."""
    identity = {"instance": "a" * 64, "epoch": 1}
    bundle.settings.database_report_file.write_text(json.dumps(identity))
    internet.answer(Reply(body=sign_keys("example.org", bundle.homeserver.signing_key)))
    internet.direct(Reply(body=GOOD, headers=CORS))
    internet.apex.pages[DOCUMENT] = Reply(body=BASE_URL, headers=CORS)
    return internet


def look(internet: ExampleOrg, bundle: Bundle) -> dict[str, Row]:
    """Return the failed rows by name."""
    results = runner.run(probes.outside_probes(internet.network()), bundle.settings)
    assert tuple(result.name for result in results) == NAMES
    failed = {result.name: result for result in results if not result.ok}
    assert all(result.cause and result.next_step for result in failed.values())
    return failed


def test_names_that_lead_here_pass(public: ExampleOrg, bundle: Bundle) -> None:
    """Keys and documents arrive from outside as they were sent, asked by no browser."""
    assert look(public, bundle) == {}
    agents = {agent for *_, agent in public.apex.asked + public.matrix.asked}
    assert agents == {"synapse-bundle-check"}


def cache(internet: ExampleOrg, state: str) -> None:
    """Let Cloudflare say where the keys come from."""
    internet.matrix.pages[KEYS].headers["cf-cache-status"] = state


CASES: tuple[tuple[str, Callable[[ExampleOrg], object], set[str], str, str], ...] = (
    ("challenge", lambda w: w.answer(page(cf_mitigated="challenge", status=403)), {NAME},
     "a challenge page of Cloudflare", "Bot Fight Mode off"),
    ("block", lambda w: w.answer(page(Server="cloudflare", status=403)), {NAME},
     "refused by Cloudflare", "Browser Integrity Check"),
    ("tunnel down", lambda w: w.answer(page(Server="cloudflare", status=530)), {NAME},
     "Cloudflare's own error 530", "cloudflared"),
    ("other tunnel", lambda w: w.answer(Reply(body=b"", status=404)), {NAME}, "does not exist (404)",
     "this bundle's tunnel"),
    ("cached", lambda w: cache(w, "HIT"), {NAME}, "comes from Cloudflare's cache (HIT)",
     "Cache Rules"),
    ("stale", lambda w: cache(w, "stale"), {NAME}, "cache (STALE)", "Cache Rules"),
    ("not cached", lambda w: cache(w, "DYNAMIC"), set(), "", ""),
    ("other key", lambda w: w.publish(), {NAME}, "with this bundle's key is not among them",
     "this bundle's tunnel"),
    ("other data", lambda w: w.matrix.pages[KEYS].headers.update(
        {"X-Synapse-Bundle-Instance": "b" * 64}), {NAME}, "another copy of this server",
     "docker compose down"),
    ("same data", lambda w: w.matrix.pages[KEYS].headers.update(
        {"X-Synapse-Bundle-Instance": "a" * 64}), set(), "", ""),
    ("other server", lambda w: w.answer(Reply(body=sign_keys("example.com"))), {NAME},
     "the keys are for example.com", "this bundle's tunnel"),
    ("no name", lambda w: [w.dns.table.pop(("matrix.example.org", k)) for k in ("A", "AAAA")],
     {NAME}, "does not exist in DNS", "add the record"),
    ("no name at all", lambda w: w.dns.broken.update({"example.org", "matrix.example.org"}),
     {NAME, CLIENT, SERVER}, "DNS gave no answer", "this machine's network"),
    ("no way out", lambda w: w.without_way.update({"192.0.2.1", "192.0.2.2", "2001:db8::2"}),
     {NAME, CLIENT, SERVER}, "no way out by IPv4", "this machine's network"),
    ("private certificate", lambda w: w.matrix.present(issue("matrix.example.org")), {NAME},
     "does not lead to a known root", "public authority"),
    ("web site challenged", lambda w: [w.apex.pages.update(
        {path: page(cf_mitigated="challenge", status=403)}) for path in (DOCUMENT, WELL_KNOWN)],
     {CLIENT, SERVER}, "a challenge page of Cloudflare", "Bot Fight Mode off"),
    ("no Worker", lambda w: w.apex.pages.clear(), {CLIENT, SERVER}, "does not exist (404)",
     "synapse-bundle cloudflare apply"),
    ("a web site's page", lambda w: w.direct(page()), {SERVER}, "a page of HTML instead of JSON",
     "let this path pass"),
    ("no CORS", lambda w: w.apex.pages.update({DOCUMENT: Reply(body=BASE_URL)}), {CLIENT},
     "Access-Control-Allow-Origin is not *", "synapse-bundle cloudflare apply"),
    ("other client", lambda w: w.apex.pages.update({DOCUMENT: Reply(body={}, headers=CORS)}),
     {CLIENT}, "it says None instead of https://matrix.example.org", "cloudflare apply"),
    ("other delegate", lambda w: w.direct(Reply(body={"m.server": "x.org:1"}, headers=CORS)),
     {SERVER}, "it says x.org:1 instead of matrix.example.org:443", "cloudflare apply"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "rows", "words", "advice"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_fault_out_there_breaks_its_own_rows(
    public: ExampleOrg,
    bundle: Bundle,
    break_it: Callable[[ExampleOrg], object],
    rows: set[str],
    words: str,
    advice: str,
) -> None:
    """Each is named, with the very thing to do, and blamed on nothing else."""
    break_it(public)
    failed = look(public, bundle)
    assert set(failed) == rows
    assert all(words in row.detail and advice in row.next_step for row in failed.values()), failed


def test_the_bundles_own_authority_counts_for_nothing_outside(
    public: ExampleOrg, bundle: Bundle
) -> None:
    """The root that cloudflared trusts for Apache is not one that the internet trusts for Cloudflare."""
    private = issue("an authority that only this bundle trusts")
    public.matrix.present(issue("matrix.example.org", private))
    (bundle.secrets / "authority.pem").write_text(private.pem)
    assert set(look(public, bundle)) == {NAME}


def test_another_signing_key_is_reported_even_if_it_has_the_same_name(
    public: ExampleOrg, bundle: Bundle
) -> None:
    """A second server under the same name is found by its key, not by the key's name."""
    public.answer(Reply(body=sign_keys("example.org", generate_signing_key("a_TEST"))))
    assert "ed25519:a_TEST with this bundle's key is not among" in look(public, bundle)[NAME].detail


@pytest.mark.parametrize(
    ("outside", "arguments", "asked"),
    [("yes", [], True), ("yes", ["--inside"], False), ("no", [], False)],
)
def test_only_a_bundle_with_a_tunnel_looks_from_outside(
    public: ExampleOrg,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    outside: str,
    arguments: list[str],
    *,
    asked: bool,
) -> None:
    """Where the public names do not lead here, or with --inside, the rows are left out."""
    monkeypatch.setattr(network, "open_network", public.network)
    environ = {**bundle.environ, "OUTSIDE": outside}
    outcome = CliRunner().invoke(cli.main, ["check", "--json", *arguments], env=environ)
    rows: dict[str, Any] = {row["name"]: row for row in json.loads(outcome.stdout)["checks"]}
    assert (set(NAMES) <= set(rows)) is asked
    assert bool(public.matrix.asked) is asked
    assert not asked or all(rows[name]["ok"] for name in NAMES)

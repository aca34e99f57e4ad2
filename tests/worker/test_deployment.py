"""Where the Worker goes: its name, its route, and the file that wrangler deploys it by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bundle import planning, worker_deployment
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.bundles import plan_shape
from tests.settings import DIRECTORY
from tests.worker.expected_answers import DOMAINS
from tests.worker.routes import parse_route

ROUTE: Final = worker_deployment.place_worker("example.org").route
NAME: Final = st.lists(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True), min_size=2, max_size=4
).map(".".join)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/.well-known/matrix/client",
        "https://example.org/.well-known/matrix/server?x=1",
        "https://example.org/.well-known/matrix/support/",
        "https://example.org/.well-known/matrix/",
        "https://example.org/.well-known/matrix/client/?a=/b&c=*",
        "https://EXAMPLE.org/.well-known/matrix/client",
        "http://example.org/.well-known/matrix/client",
        "https://example.org/.well-known/matrix/policy_server",
    ],
)
def test_the_route_takes_what_is_ours(url: str) -> None:
    """Each spelling of a discovery address reaches the Worker."""
    assert parse_route(ROUTE, "example.org").matches(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://example.org/.well-known/matrix",
        "https://example.org/.well-known/matrix?/",
        "https://example.org/.well-known/matrixx",
        "https://example.org/.well-known/matrixx/client",
        "https://example.org/.well-known/Matrix/client",
        "https://example.org/.WELL-KNOWN/matrix/client",
        "https://example.org/x/.well-known/matrix/client",
        "https://example.org/?/.well-known/matrix/client",
        "https://example.org/.well-known/acme-challenge/x",
        "https://matrix.example.org/.well-known/matrix/client",
        "https://notexample.org/.well-known/matrix/client",
        "https://example.org.evil.example/.well-known/matrix/client",
    ],
)
def test_the_route_leaves_the_rest(url: str) -> None:
    """No other page of the domain, and no other host, passes through the Worker."""
    assert not parse_route(ROUTE, "example.org").matches(url)


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("*example.com/", "https://myexample.com/", True),
        ("*.example.com/", "https://example.com/", False),
        ("*.example.com/*", "https://www.example.com/path", True),
        ("example.com", "http://example.com", True),
        ("example.com", "http://example.com/?x", False),
        ("https://example.com/*", "http://example.com/", False),
        ("example.com/path*", "https://example.com/path2?x", True),
        ("example.com/Images/*", "https://example.com/images/x", False),
    ],
)
def test_the_model_knows_cloudflares_examples(pattern: str, url: str, matches: bool) -> None:
    """The model agrees with the documentation's own examples."""
    assert parse_route(pattern, "example.com").matches(url) == matches


@pytest.mark.parametrize("pattern", ["example.com/*.jpg", "example.com/?x=*", "example.net/*"])
def test_the_model_refuses_what_cloudflare_refuses(pattern: str) -> None:
    """A wildcard inside, a query, and another zone make no route."""
    with pytest.raises(ValueError, match=re.escape(pattern)):
        parse_route(pattern, "example.com")


@pytest.mark.parametrize("shape", DOMAINS, ids=lambda path: path.stem)
def test_wrangler_deploys_the_same_worker(shape: Path) -> None:
    """The file for wrangler agrees with the topology, and opens no second address of the Worker."""
    files = {str(file.path): file.content for file in plan_shape(shape).files}
    chosen = loading.load(shape)
    deployed = worker_deployment.place_worker(chosen.server_name)
    assert json.loads(files["worker/wrangler.json"]) == {
        "name": deployed.script,
        "main": "worker.js",
        "no_bundle": True,
        "compatibility_date": worker_deployment.COMPATIBILITY_DATE,
        "workers_dev": False,
        "preview_urls": False,
        "routes": [deployed.route],
    }
    assert files["worker/worker.js"] == planning.plan_worker(chosen)
    parse_route(deployed.route, chosen.server_name)


def test_the_trial_has_no_worker() -> None:
    """Only a browser on this machine looks for localhost."""
    assert planning.plan_worker(Settings()) == b""
    files = plan_shape(DIRECTORY / "trial.yaml").files
    assert not [file.path for file in files if file.path.parts[0] == "worker"]


@given(server_name=NAME)
def test_any_script_has_a_valid_name(server_name: str) -> None:
    """Cloudflare takes the name: small letters, digits and hyphens, at most 63."""
    script = worker_deployment.place_worker(server_name).script
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", script)


@given(names=st.lists(st.one_of(NAME, st.sampled_from(["a.b.org", "a-b.org", "a--b.org"])),
                      min_size=2, max_size=6, unique=True))  # fmt: skip
def test_no_two_server_names_share_a_script(names: list[str]) -> None:
    """The second server of an account never takes the place of the first one's Worker."""
    assert len({worker_deployment.place_worker(name).script for name in names}) == len(names)


def test_a_script_is_called_after_its_server() -> None:
    """A name says in the dashboard whose Worker it is; a long one is distinguished by its digest."""
    assert worker_deployment.place_worker("example.org").script == "matrix-well-known-example-org"
    assert worker_deployment.place_worker("a-b.org").script == "matrix-well-known-a--b-org"
    ends = [worker_deployment.place_worker(f"{'a' * 60}.{end}").script for end in ("org", "net")]
    assert all(len(end) == 63 for end in ends)
    assert len(set(ends)) == 2

"""The routing law: whatever the table gives to a worker is served there as by the main process."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bin import update_routes
from synapse_bundle import images
from synapse_bundle.errors import BundleError
from synapse_bundle.routes import CLIENT_PATHS, ROUTES, SERVER_PATHS, Route, read_table
from tests.routing.registry import REGISTRY, read_registry, read_version

MAIN: Final = read_registry("main")
WORKER: Final = read_registry("worker")
TABLE: Final = read_table()
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
# What the path of a request may hold, beside what Apache refuses.
CHARACTERS: Final = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#")
FORWARDED: Final = [pattern for pattern in MAIN.patterns if pattern.startswith("^/_matrix/")]


def find_route(method: str, path: str) -> Route | None:
    """Return the route of a request, as Apache looks for it."""
    for route in TABLE.routes:
        if re.search(route.pattern, path) and (not route.methods or method in route.methods):
            return route
    return None


def paths() -> st.SearchStrategy[str]:
    """Make paths that the main process serves, and some that come close."""
    made = st.sampled_from(FORWARDED).flatmap(
        lambda pattern: st.from_regex(pattern, fullmatch=True, alphabet=CHARACTERS)
    )
    return st.builds("".join, st.tuples(made, st.sampled_from(["", "", "", "/", "/x", "x", "%2F"])))


@settings(max_examples=3000)
@given(path=paths(), method=st.sampled_from(METHODS))
def test_what_goes_to_a_worker_is_served_there(path: str, method: str) -> None:
    """A worker answers with the same servlet as the main process, whatever it is given."""
    if find_route(method, path):
        assert WORKER.find_servlet(method, path) == MAIN.find_servlet(method, path)


@pytest.mark.parametrize("pattern", FORWARDED)
def test_the_table_takes_what_it_names_and_nothing_else(pattern: str) -> None:
    """Each request of the registry goes where the table's file says, by each of its methods."""
    simple = update_routes.simplify(pattern)
    methods = {m for route in TABLE.routes if route.pattern == simple for m in route.methods}
    named = any(route.pattern == simple for route in TABLE.routes)
    for method, servlet in MAIN.patterns[pattern].items():
        stays = servlet in update_routes.UNDOCUMENTED or (
            servlet in update_routes.WRITERS and method in update_routes.WRITES
        )
        served = WORKER.patterns.get(pattern, {}).get(method) == servlet
        assert (named and (not methods or method in methods)) == (served and not stays)


def test_what_stays_with_the_main_process_exists() -> None:
    """A servlet that Synapse renamed or gave up is not named any more."""
    known = {servlet for servlets in WORKER.patterns.values() for servlet in servlets.values()}
    named = update_routes.UNDOCUMENTED | update_routes.WRITERS
    named |= update_routes.BY_ROOM | update_routes.MESSAGES
    assert named - known == set()


@pytest.mark.parametrize("route", TABLE.routes, ids=lambda route: route.pattern)
def test_no_route_lies_beyond_what_apache_looks_at_first(route: Route) -> None:
    """Every path of a route begins as the paths of its kind do."""
    begin = SERVER_PATHS if route.federation else CLIENT_PATHS
    literal = route.pattern.split("/", 3)[:3]
    assert re.search(begin, "/".join(literal).removeprefix("^") + "/")


def test_the_busiest_requests_go_to_a_worker() -> None:
    """The table is worth its cost."""
    for method, path in (
        ("GET", "/_matrix/client/v3/sync"),
        ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"),
        ("PUT", "/_matrix/client/v3/rooms/!a%2Fb:c/send/m.room.message/1"),
        ("PUT", "/_matrix/federation/v1/send/1"),
        ("GET", "/_matrix/client/v3/rooms/%21a:b/messages"),
    ):
        assert find_route(method, path), path


def test_one_writer_is_the_main_process() -> None:
    """What a worker could only refuse stays with the writer of its stream."""
    room = "/_matrix/client/v3/rooms/!a:b"
    for method, path in (
        ("PUT", f"{room}/typing/@a:b"),
        ("POST", f"{room}/receipt/m.read/$a"),
        ("PUT", "/_matrix/client/v3/sendToDevice/m.room.encrypted/1"),
        ("PUT", "/_matrix/client/v3/user/@a:b/account_data/m.direct"),
        ("PUT", "/_matrix/client/v3/pushrules/global/override/x"),
        ("GET", "/_matrix/federation/v1/media/download/x"),
    ):
        assert find_route(method, path) is None, path


def test_table_and_registry_are_of_the_pinned_version() -> None:
    """A new version of Synapse takes a new table: `make routes`."""
    assert {TABLE.synapse, read_version()} == {images.read_pins()["synapse"].tag}


def test_a_broken_table_is_named() -> None:
    """An installation that lost its table says which file, without a traceback."""
    with pytest.raises(BundleError, match=r"routes\.toml cannot be used: .*reinstall"):
        read_table(ROUTES.with_name("absent") / "routes.toml")


@pytest.mark.engine
def test_the_pinned_image_says_the_same() -> None:
    """Registry and table are what the image itself gives today: `make routes` changes nothing."""
    pin = images.read_pins()["synapse"]
    registry = update_routes.read_registry(pin.reference)
    assert update_routes.format_registry(pin.tag, registry) == REGISTRY.read_text()
    assert update_routes.format_routes(pin.tag, registry) == ROUTES.read_text()

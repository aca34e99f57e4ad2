"""The Worker answers as the bundle's Apache does, in Node.js and in Cloudflare's own runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from tests.settings import DIRECTORY
from tests.support.http import Answer
from tests.worker.expected_answers import DOMAINS, FOLDER, ExpectedAnswers, read_shape
from tests.worker.runtime import Request, Runtime

PLAIN: Final = DIRECTORY / "domain.yaml"
PASSING: Final = DIRECTORY / "full.yaml"
NAMES: Final = ("client", "server", "support")
UNKNOWN: Final = [
    "", "/", "policy_server", "client.json", "Client", "CLIENT", "client/more", "client//",
    "clients", "%63lient", "client%2F", "client%00", "client%3Fx", "client;x", "..%2fclient",
    "%", "%zz", "%E2%80%A8", "%ff", "constructor", "__proto__", "toString", "hasOwnProperty",
    "%22%3E%3Cscript%3E", "${x}", "\\client", "?client", "client%20", "undefined", "null",
]  # fmt: skip


@pytest.fixture(params=DOMAINS, ids=lambda path: path.stem)
def expected(request: pytest.FixtureRequest) -> ExpectedAnswers:
    """Every shape with a real domain in turn."""
    shape: Path = request.param
    return read_shape(shape)


@pytest.fixture
def plain() -> ExpectedAnswers:
    """A shape without contacts, whose other paths are not found."""
    return read_shape(PLAIN)


@pytest.fixture
def passing() -> ExpectedAnswers:
    """A shape whose other paths are passed through."""
    return read_shape(PASSING)


def assert_cors(answer: Answer, expected: ExpectedAnswers) -> None:
    """The three headers are Apache's, each once."""
    assert len(expected.cors) == 3
    assert {name: answer.headers.get(name) for name in expected.cors} == expected.cors


def assert_error(answer: Answer, expected: ExpectedAnswers, status: int, errcode: str) -> None:
    """The answer is Apache's own body for a status, as JSON that a browser may read."""
    assert (answer.status, answer.body) == (status, expected.errors[status])
    assert answer.json["errcode"] == errcode
    assert answer.headers["content-type"] == "application/json"
    assert "cache-control" not in answer.headers
    assert_cors(answer, expected)


@pytest.mark.parametrize("ending", ["", "/", "?x=1", "/?a=/b&c=%2F", "?/"])
def test_every_document_is_apaches(
    runtime: Runtime, expected: ExpectedAnswers, ending: str
) -> None:
    """A document has Apache's bytes and headers, with or without a slash or a query."""
    for name, content in expected.documents.items():
        answer = runtime.fetch(expected.worker, Request(target=f"{FOLDER}{name}{ending}"))
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == expected.caching
        assert_cors(answer, expected)


def test_no_document_is_missing_or_invented(runtime: Runtime, expected: ExpectedAnswers) -> None:
    """The Worker has the documents that Apache has, and `support` only with a contact."""
    found = {
        name
        for name in NAMES
        if runtime.fetch(expected.worker, Request(target=FOLDER + name)).status == 200
    }
    assert found == set(expected.documents)


def test_head_is_get_without_a_body(runtime: Runtime, expected: ExpectedAnswers) -> None:
    """HEAD has the headers of GET, and no body."""
    for name in expected.documents:
        answer = runtime.fetch(expected.worker, Request(method="HEAD", target=FOLDER + name))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == expected.caching
        assert_cors(answer, expected)


def test_head_of_an_unknown_path_has_no_body(runtime: Runtime, plain: ExpectedAnswers) -> None:
    """An error to HEAD has no body."""
    answer = runtime.fetch(plain.worker, Request(method="HEAD", target=f"{FOLDER}policy_server"))
    assert (answer.status, answer.body) == (404, b"")
    assert_cors(answer, plain)


@pytest.mark.parametrize("name", ["client", "server/", "client?x", "policy_server", ""])
def test_preflights_succeed_everywhere(
    runtime: Runtime, expected: ExpectedAnswers, name: str
) -> None:
    """OPTIONS never fails: a browser would keep the answer that follows from the client."""
    headers = {"Origin": "https://client.invalid", "Access-Control-Request-Method": "GET"}
    request = Request(method="OPTIONS", target=FOLDER + name, headers=headers)
    answer = runtime.fetch(expected.worker, request)
    assert (answer.status, answer.body) == (204, b"")
    assert "x-origin" not in answer.headers
    assert_cors(answer, expected)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_documents_can_only_be_read(
    runtime: Runtime, expected: ExpectedAnswers, method: str
) -> None:
    """Any other method is refused in Apache's words, with the list of those allowed."""
    for name in expected.documents:
        answer = runtime.fetch(expected.worker, Request(method=method, target=FOLDER + name))
        assert_error(answer, expected, 405, "M_UNRECOGNIZED")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_paths_are_not_found(runtime: Runtime, plain: ExpectedAnswers, name: str) -> None:
    """An unknown path is Apache's 404 in JSON, and no other server is asked."""
    for method in ("GET", "POST"):
        answer = runtime.fetch(plain.worker, Request(method=method, target=FOLDER + name))
        assert_error(answer, plain, 404, "M_NOT_FOUND")


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_paths_are_passed_through_on_demand(
    runtime: Runtime, passing: ExpectedAnswers, name: str
) -> None:
    """With `pass-through` the domain's web server answers unknown paths."""
    answer = runtime.fetch(passing.worker, Request(target=FOLDER + name))
    assert (answer.status, answer.headers["x-origin"]) == (203, "here")
    assert_cors(answer, passing)


def test_what_is_passed_through_is_whole(runtime: Runtime, passing: ExpectedAnswers) -> None:
    """Method, path, query, headers and body reach the web server as they came."""
    target = f"{FOLDER}policy_server/%23a%2Fb?c=%2F&d"
    request = Request(method="PUT", target=target, headers={"X-Mine": "it"}, body='{"a": "ü"}')
    seen = json.loads(runtime.fetch(passing.worker, request).body)
    assert (seen["method"], seen["body"]) == ("PUT", request.body)
    assert seen["url"].partition("://")[2] == passing.worker.host + target
    assert seen["headers"]["x-mine"] == "it"


def test_a_redirect_is_passed_through(runtime: Runtime, passing: ExpectedAnswers) -> None:
    """A redirect is the client's to follow, and carries CORS like every answer."""
    answer = runtime.fetch(passing.worker, Request(target=f"{FOLDER}moved"))
    assert (answer.status, answer.headers["location"]) == (302, "https://elsewhere.example/")
    assert_cors(answer, passing)


def test_an_absent_web_server_is_reported(runtime: Runtime, passing: ExpectedAnswers) -> None:
    """Where no server answers what is passed through, the error is JSON that a browser may read."""
    answer = runtime.fetch(passing.worker, Request(target=f"{FOLDER}broken"))
    assert (answer.status, answer.json["errcode"]) == (502, "M_UNKNOWN")
    assert answer.headers["content-type"] == "application/json"
    assert_cors(answer, passing)


def test_documents_are_never_passed_through(runtime: Runtime, passing: ExpectedAnswers) -> None:
    """Our own paths are the Worker's alone, whatever the method."""
    for name in passing.documents:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            answer = runtime.fetch(passing.worker, Request(method=method, target=FOLDER + name))
            assert "x-origin" not in answer.headers

"""The session alone: what it sends, when it sends it again, and what it never shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest

from synapse_bundle.cloudflare import session as sessions
from synapse_bundle.cloudflare.refusals import CloudflareError, UncertainError
from synapse_bundle.cloudflare.session import Session
from synapse_bundle.errors import SettingsError
from tests.cloudflare.simulation import simulate

TOKEN = "t" * 40
OK = httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": 1})
DENIED = httpx.Response(
    403, json={"success": False, "errors": [{"code": 10000, "message": f"no, {TOKEN}"}]}
)


@dataclass
class Line:
    """A line to a Cloudflare that gives these answers, and then only the last one."""

    answers: list[httpx.Response | type[httpx.TransportError]]
    requests: list[httpx.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def open(self) -> Session:
        """Return a session at this line."""
        return Session(
            TOKEN,
            report=self.reports.append,
            base_url="http://127.0.0.1/v4",
            transport=httpx.MockTransport(self.answer),
            sleep=self.waits.append,
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Give the next answer."""
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, type):
            raise answer("no answer", request=request)
        return answer


def error(status: int, **headers: str) -> httpx.Response:
    """Return an answer of the edge."""
    return httpx.Response(status, text="<html>", headers=headers)


def test_the_token_goes_into_one_header_and_no_legacy_key_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY, which SDKs would prefer, are not looked at."""
    monkeypatch.setenv("CLOUDFLARE_EMAIL", "me@example.org")
    monkeypatch.setenv("CLOUDFLARE_API_KEY", "k" * 37)
    line = Line([OK])
    session = line.open()
    assert session.get("/zones") == 1
    headers = line.requests[0].headers
    assert headers.pop("Authorization") == f"Bearer {TOKEN}"
    assert TOKEN not in str(headers)
    assert not [name for name in headers if name.startswith("x-auth")]
    assert TOKEN not in repr(session)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("trouble", [error(502), httpx.ReadTimeout, httpx.ConnectError])
def test_what_can_be_repeated_is_repeated_with_growing_pauses(
    method: str, trouble: httpx.Response | type[httpx.TransportError]
) -> None:
    """Each wait is reported before it begins."""
    line = Line([trouble, trouble, trouble, OK])
    assert line.open().request(method, "/x")["result"] == 1
    assert line.waits == [1, 2, 4]
    assert len(line.reports) == 3


@pytest.mark.parametrize("trouble", [error(500), httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_post_that_may_have_taken_effect_is_not_sent_again(
    trouble: httpx.Response | type[httpx.TransportError],
) -> None:
    """That it is not known is what is raised."""
    line = Line([trouble, OK])
    with pytest.raises(UncertainError):
        line.open().send("POST", "/x", {})
    assert len(line.requests) == 1
    assert line.open().send("POST", "/x", {}, repeatable=True) == 1


@pytest.mark.parametrize("trouble", [error(429), httpx.ConnectError, httpx.ConnectTimeout])
def test_a_post_that_had_no_effect_is_sent_again(
    trouble: httpx.Response | type[httpx.TransportError],
) -> None:
    """Refused for its rate, or never arrived."""
    line = Line([trouble, OK])
    assert line.open().send("POST", "/x", {}) == 1


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("0", 1), ("100000", 300), ("tomorrow", 1), ("", 1)]
)
def test_cloudflare_says_how_long_to_wait(asked: str, waited: float) -> None:
    """Retry-After is honoured, but for no longer than the five minutes a limit is counted over."""
    line = Line([error(429, **{"Retry-After": asked}), OK])
    line.open().get("/x")
    assert line.waits == [waited]


def test_patience_ends() -> None:
    """After some attempts the error has the reason, and what to do."""
    line = Line([error(503)])
    with pytest.raises(CloudflareError, match=r"HTTP 503\); run the command again") as raised:
        line.open().get("/x")
    assert not isinstance(raised.value, UncertainError)
    assert len(line.requests) == 6


def test_an_error_has_codes_and_words_and_no_token() -> None:
    """Even if Cloudflare repeated the token in its answer."""
    with pytest.raises(CloudflareError) as raised:
        Line([DENIED]).open().get("/x")
    assert raised.value.denied
    assert raised.value.codes == {10000}
    assert raised.value.message == "Cloudflare refused GET /x: no, [token] (code 10000)"


@pytest.mark.parametrize("answer", [httpx.Response(404, text="?"), httpx.Response(200, text="{}")])
def test_an_answer_that_is_not_the_apis_is_an_error(answer: httpx.Response) -> None:
    """A page instead of the API's envelope does not pass for success."""
    with pytest.raises(CloudflareError, match="not an answer of the API"):
        Line([answer]).open().get("/x")


@pytest.mark.parametrize("number", [0, 1, 49, 50, 51, 100, 120])
def test_a_list_has_all_its_pages(number: int) -> None:
    """Of any length, whether the list says how many pages it has (DNS) or not (tokens)."""
    simulation = simulate()
    for each in range(number):
        simulation.store.add_record(simulation.zone, "TXT", "example.org", str(each))
    session = simulation.open_session()
    found = list(session.list(f"/zones/{simulation.zone.id}/dns_records"))
    assert [each["content"] for each in found] == [str(each) for each in range(number)]
    assert [each["name"] for each in session.list("/user/tokens")] == ["mine"]
    assert simulation.fake.violations == []


def test_the_token_is_not_sent_in_clear_over_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOUDFLARE_BASE_URL has to be https, but for a test on the machine itself."""
    monkeypatch.delenv("CLOUDFLARE_BASE_URL", raising=False)
    assert sessions.choose_address() == "https://api.cloudflare.com/client/v4"
    for fine in ("https://api.example.org/v4", "http://127.0.0.1:8080/v4"):
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", f"{fine}/")
        assert sessions.choose_address() == fine
    for wrong in ("http://api.cloudflare.com/client/v4", "ftp://127.0.0.1", "example.org"):
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", wrong)
        with pytest.raises(SettingsError, match="must be an https URL"):
            sessions.choose_address()


@pytest.mark.parametrize("address", ["http://[", "https://", "https://a:b/", "https:///client/v4"])
def test_an_address_that_is_not_one_is_reported(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """With the name of the variable that it is in."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", address)
    with pytest.raises(SettingsError, match="CLOUDFLARE_BASE_URL"):
        Session(TOKEN, report=print)


@pytest.mark.parametrize(("items", "requests"), [(0, 1), (49, 1), (50, 2), (51, 2)])
def test_a_list_ends_with_a_page_that_is_not_full(items: int, requests: int) -> None:
    """Where it does not say how many pages it has."""
    pages = [[0] * min(50, items), [0] * max(0, items - 50)]
    line = Line(
        [httpx.Response(200, json={"success": True, "errors": [], "result": p}) for p in pages]
    )
    assert len(list(line.open().list("/user/tokens"))) == items
    assert len(line.requests) == requests


def test_a_proxy_that_cannot_be_used_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a message and not as a traceback."""
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:70")
    with pytest.raises(SettingsError, match="proxy in the environment cannot be used"):
        Session(TOKEN, report=print)

"""A dump is compared with its set while PostgreSQL makes its indexes."""

from __future__ import annotations

import threading
from unittest.mock import MagicMock

import pytest

from bundle_helper.errors import HelperError
from bundle_helper.restore import loading
from tests.support.waiting import PATIENCE


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set when tables are compared; sequences are as they should be."""
    event = threading.Event()

    def compare(*_: object) -> list[str]:
        event.set()
        return ["a difference"]

    monkeypatch.setattr(loading, "connect_to_data", MagicMock())
    monkeypatch.setattr(loading, "compare_tables", compare)
    monkeypatch.setattr(loading, "_compare_sequences", lambda *_: [])
    return event


def prove() -> list[str]:
    """Load and compare, where every other part is a double."""
    return loading.load_and_prove(MagicMock(), MagicMock(), MagicMock(), MagicMock())


def test_tables_are_compared_while_indexes_are_made(
    compared: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as there is an index, because all rows come before it."""
    has_index = threading.Event()

    def load(*arguments: object) -> None:
        begin = arguments[-1]
        assert callable(begin)
        begin()
        assert not compared.wait(10 * loading._LOOK_SECONDS)
        has_index.set()
        assert compared.wait(PATIENCE)

    monkeypatch.setattr(loading, "load_dump", load)
    monkeypatch.setattr(loading, "_has_index", lambda _: has_index.is_set())
    assert prove() == ["a difference"]


def test_what_could_not_be_loaded_is_not_compared(
    compared: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of hashes would only delay the reason."""

    def load(*arguments: object) -> None:
        begin = arguments[-1]
        assert callable(begin)
        begin()
        raise HelperError("the disk is full")

    monkeypatch.setattr(loading, "load_dump", load)
    monkeypatch.setattr(loading, "_has_index", lambda _: False)
    with pytest.raises(HelperError, match="the disk is full"):
        prove()
    assert not compared.is_set()

"""Clients that go on beside a test, on a thread of their own, whatever it does with their server."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Self


@dataclass(kw_only=True)
class BackgroundTraffic(ABC):
    """Goes on while it is open, which is from its first acknowledged messages on."""

    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        try:
            self.wait_for_more()
        except BaseException:
            # Nobody leaves a block that was never entered, and Python waits for every thread.
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @abstractmethod
    def wait_for_more(self) -> None:
        """Wait until more messages are acknowledged; raises AssertionError if none are."""

    @abstractmethod
    def _work(self) -> None:
        """Send until `_ended` is set."""

    def _end(self) -> None:
        self._ended.set()
        assert self._thread
        self._thread.join()

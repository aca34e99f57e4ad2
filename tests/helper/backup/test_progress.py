"""Long work shows a line that moves on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import io

from bundle_helper.backup.progress import Progress, format_size


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def show(stream: io.StringIO) -> str:
    """Go through a step of ten minutes, a report a second."""
    moment = 0.0
    progress = Progress(stream, clock=lambda: moment)
    progress("starting")
    follow = progress.follow("media")
    for second in range(600):
        moment = float(second)
        follow(second * 10_000_000, 6_000_000_000)
    progress("done")
    return stream.getvalue()


def test_terminal() -> None:
    """The line is written over, and the sentence after it takes its place."""
    shown = show(Terminal())
    assert shown.count("\n") == 2
    assert shown.count("\r\x1b[K") > 500
    assert "media: 3.0 GB of 6.0 GB (50 %)" in shown
    assert shown.endswith("\r\x1b[Kdone\n")


def test_pipe() -> None:
    """A line every half minute, and no control character."""
    shown = show(io.StringIO())
    assert shown.splitlines()[:2] == ["starting", "media: 300.0 MB of 6.0 GB (5 %)"]
    assert len(shown.splitlines()) == 2 + 19
    assert shown.isprintable() or not set(shown) & {"\r", "\x1b"}


def test_unknown_total() -> None:
    """Where the end is not known, what is done is shown alone."""
    stream = Terminal()
    Progress(stream).follow("database")(1500, 0)
    assert stream.getvalue() == "\r\x1b[Kdatabase: 1.5 kB"


def test_sizes() -> None:
    """Sizes are in decimal units."""
    assert [format_size(size) for size in (0, 999, 1000, 1_340_000_000, 10**17)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "1.3 GB", "100.0 PB")
    ]

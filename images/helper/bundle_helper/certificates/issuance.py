"""One attempt to obtain a certificate: preflight, certbot, and what came of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from ..errors import HelperError
from . import certbot, diagnosis, lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ..settings.issuers import AcmeSettings
    from ..settings.service_settings import ServiceSettings
    from .certbot import Wish

# What certbot writes in one run (a log of 100 to 200 kB, key, chain, configuration) several times over.
_SPACE = 2**20
# Longer than the ceiling of propagation for a few names, and the authority's own patience.
_LONGEST_SECONDS = 1800.0


class IssuanceError(HelperError):
    """An attempt failed; `not_before` is when the next can succeed, if that is known."""

    def __init__(self, message: str, not_before: datetime | None = None) -> None:
        super().__init__(message)
        self.not_before = not_before


class NotReadyError(IssuanceError):
    """Nobody was asked: what the authority gave could not be kept here."""


class BusyError(HelperError):
    """Another process is at work on the same lineages."""


def obtain(
    settings: ServiceSettings,
    wish: Wish,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> None:
    """Let certbot bring the lineage up to date; IssuanceError says what stood in the way.

    Whoever calls this holds `alone`.
    """
    if settings.acme is None:
        raise IssuanceError(f"{settings.certificate_issuer} is no ACME authority")
    _make_ready(settings, settings.acme, tell)
    _look_before(settings, settings.acme)
    said, code = _run(settings, settings.acme, wish, environ, tell)
    if code != 0:
        found = diagnosis.explain(said)
        raise IssuanceError(_name(found, settings.acme), found.not_before)


def _name(found: diagnosis.Explanation, chosen: AcmeSettings) -> str:
    """Return the explanation, with the authority's address where it is about the authority."""
    if not found.happened.startswith("the authority"):
        return str(found)
    return f"{found} (The authority is {chosen.directory}.)"


@contextlib.contextmanager
def alone(settings: ServiceSettings) -> Iterator[None]:
    """Hold the lineages, and what is remembered of the attempts; BusyError if somebody else does."""
    if settings.acme is None:
        raise IssuanceError(f"{settings.certificate_issuer} is no ACME authority")
    directory = settings.acme.lineages_directory
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NotReadyError(
            f"{directory} can not be opened ({error.strerror}). Run `docker compose up -d`:"
            " its first step gives the volume to the helper."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(
            "another attempt is running; see `docker compose logs --follow helper`"
        ) from None
    else:
        yield
    finally:
        os.close(handle)


def _make_ready(
    settings: ServiceSettings, chosen: AcmeSettings, tell: Callable[[str], None]
) -> None:
    """Make sure that what the authority gives can be kept; NotReadyError if it could not.

    An order is one of five that Let's Encrypt grants for the same names in a week, and certbot finds
    out only afterwards that it cannot save the certificate.
    """
    try:
        _probe_space(chosen.lineages_directory / ".space")
        aside = lineage.set_broken_aside(settings)
    except OSError as error:
        raise NotReadyError(
            f"nothing was asked, because {chosen.lineages_directory} (the volume `letsencrypt`)"
            f" cannot be written: {error.strerror}. Free space on this machine's disk"
            " (`docker system df`); it goes on by itself within ten minutes"
        ) from error
    if aside is not None:
        tell(f"certbot's files of this certificate were damaged; they are in {aside} now")


def _probe_space(probe: Path) -> None:
    try:
        with probe.open("wb") as file:
            file.write(bytes(_SPACE))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _look_before(settings: ServiceSettings, chosen: AcmeSettings) -> None:
    # Imported here: between attempts the service is small.
    import dns.resolver  # noqa: PLC0415

    from . import preflight  # noqa: PLC0415

    try:
        names = certbot.permitting_names(settings, chosen)
    except HelperError as error:
        found = diagnosis.explain(error.message)
        known = found.happened.startswith("the authority")
        message = _name(found, chosen) if known else error.message
        raise IssuanceError(message) from error
    try:
        resolver = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return
    obstacles = preflight.inspect(settings.certificate_names, names, resolver)
    if obstacles:
        raise IssuanceError("; ".join(obstacles))


def _run(
    settings: ServiceSettings,
    chosen: AcmeSettings,
    wish: Wish,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> tuple[str, int]:
    said: list[str] = []
    command = certbot.certbot_arguments(settings, chosen, wish)
    with _start(command, certbot.certbot_environment(settings, environ)) as process:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(certbot.PROGRESS):
                tell(line.removeprefix(certbot.PROGRESS).rstrip())
        code = process.wait()
    return "".join(said), code


@contextlib.contextmanager
def _start(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run certbot; end it, so that it removes its TXT record, if we are interrupted meanwhile."""
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own: a terminal's Ctrl-C reaches certbot once, through us.
        process_group=0,
    )
    timer = threading.Timer(_LONGEST_SECONDS, process.terminate)
    timer.daemon = True
    timer.start()
    with process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
        finally:
            timer.cancel()

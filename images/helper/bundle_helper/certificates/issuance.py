"""One attempt to obtain a certificate: preflight, certbot, and its outcome."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from .. import locks
from ..errors import HelperError
from . import acme_directory, certbot, diagnosis
from .lineage import find_lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ..settings.certificate_settings import CertificateSettings
    from ..settings.issuers import Acme
    from .certbot import Attempt
    from .diagnosis import Diagnosis

# What certbot writes in one run (a log of 100 to 200 kB, key, chain, configuration) several times over.
_SPACE: Final = 2**20
# Longer than the ceiling of propagation for a few names, and the authority's own patience.
_LONGEST_SECONDS: Final = 1800.0


class IssuanceError(HelperError):
    """An attempt failed; `not_before` is when the next can succeed, if that is known."""

    def __init__(self, message: str, not_before: datetime | None = None) -> None:
        super().__init__(message)
        self.not_before = not_before


class NotReadyError(IssuanceError):
    """No request was made: what the authority gave could not be kept here."""


class BusyError(HelperError):
    """Another process is working on the same lineages."""


def obtain(
    settings: CertificateSettings,
    acme: Acme,
    attempt: Attempt,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> None:
    """Let certbot bring the lineage up to date; IssuanceError says why it did not.

    The caller holds the lineages by `hold_lineages`.
    """
    _prove_writable(acme.lineages_directory)
    if not attempt.rehearsal:
        _set_damaged_aside(settings, acme, tell)
    _check_dns(settings, acme)
    output, code = _run(settings, acme, attempt, environ, tell)
    if code != 0:
        found = diagnosis.diagnose(output)
        raise IssuanceError(_name_authority(found, acme), found.not_before)


@contextlib.contextmanager
def hold_lineages(directory: Path) -> Iterator[None]:
    """Hold the lineages, and the history of the attempts; BusyError if another process does."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.lock_directory(directory, wait=False))
        except BlockingIOError:
            raise BusyError(
                "another attempt is running; see `docker compose logs --follow helper`"
            ) from None
        except OSError as error:
            raise NotReadyError(
                f"{directory} cannot be opened ({error.strerror}). Run `docker compose up -d`:"
                " its first step gives the volume to the helper."
            ) from error
        yield


def _prove_writable(directory: Path) -> None:
    """Make sure that what the authority gives can be kept.

    An order is one of five that Let's Encrypt grants for the same names in a week, and certbot finds
    out only afterwards that it cannot save the certificate.
    """
    probe = directory / ".space"
    try:
        try:
            with probe.open("wb") as file:
                file.write(bytes(_SPACE))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise _not_writable(directory, error) from error


def _set_damaged_aside(
    settings: CertificateSettings, acme: Acme, tell: Callable[[str], None]
) -> None:
    try:
        aside = find_lineage(acme, settings.homeserver).set_damaged_aside()
    except OSError as error:
        raise _not_writable(acme.lineages_directory, error) from error
    if aside is not None:
        tell(f"certbot's files of this certificate were damaged; they are in {aside} now")


def _not_writable(directory: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"no request was made, because {directory} (the volume `letsencrypt`)"
        f" cannot be written: {error.strerror}. Free space on this machine's disk"
        " (`docker system df`); the next attempt follows within ten minutes"
    )


def _check_dns(settings: CertificateSettings, acme: Acme) -> None:
    # Imported here: between attempts the process is small.
    import dns.resolver  # noqa: PLC0415

    from . import preflight  # noqa: PLC0415

    try:
        names = acme_directory.read_caa_names(acme, settings.root_file)
    except HelperError as error:
        found = diagnosis.diagnose(error.message)
        known = found.happened.startswith("the authority")
        message = _name_authority(found, acme) if known else error.message
        raise IssuanceError(message) from error
    try:
        resolver = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return
    obstacles = preflight.find_obstacles(settings.names, names, resolver)
    if obstacles:
        raise IssuanceError("; ".join(obstacles))


def _name_authority(found: Diagnosis, acme: Acme) -> str:
    """Return the diagnosis, with the authority's address where it is about the authority."""
    if not found.happened.startswith("the authority"):
        return str(found)
    return f"{found} (The authority is {acme.directory}.)"


def _run(
    settings: CertificateSettings,
    acme: Acme,
    attempt: Attempt,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> tuple[str, int]:
    output: list[str] = []
    command = certbot.build_arguments(settings, acme, attempt)
    with _start(command, certbot.build_environment(settings, environ)) as process:
        for line in process.stdout or ():
            output.append(line)
            if line.startswith(certbot.PROGRESS):
                tell(line.removeprefix(certbot.PROGRESS).rstrip())
        code = process.wait()
    return "".join(output), code


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

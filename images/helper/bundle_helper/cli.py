"""The command line of the helper: parses, calls, prints; decides nothing."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from threading import Event
from types import FrameType

import click

from .settings import BootstrapSettings, ServiceSettings

# What is imported inside a command is needed there alone: the service stays small in memory,
# and a check starts at once.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Prepare, serve and check a synapse-bundle."""


@main.command()
def bootstrap() -> None:
    """Give volumes their owners; create or repair Synapse's role and database; prove it."""
    from . import bootstrap as start  # noqa: PLC0415

    _end_when_asked()
    start.run(BootstrapSettings.from_environ(os.environ), _now, _tell)


@main.command()
def run() -> None:
    """Keep the certificate fresh and the first accounts made, until asked to stop."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from . import service  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    duties = service.duties(settings, os.environ, _tell)
    service.serve(duties, settings.state_directory, stop, _now, _tell)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check(*, as_json: bool) -> None:
    """Prove the running bundle hop by hop; exit code 0 only if everything holds."""
    from .check import probes, rendering, running  # noqa: PLC0415

    _end_when_asked()
    settings = ServiceSettings.from_environ(os.environ)
    results = running.run(probes.PROBES, settings)
    rendering.render(results, as_json=as_json)
    sys.exit(0 if all(result.ok for result in results) else 1)


@main.group()
def certificates() -> None:
    """Look after the server's certificate by hand."""


@certificates.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Say what is published, who issued it, and how its renewal goes."""
    from . import console  # noqa: PLC0415

    sys.exit(console.show_status(ServiceSettings.from_environ(os.environ), _now(), as_json=as_json))


@certificates.command()
@click.option("--force", is_flag=True, help="Renew even if it is not due (limits apply).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def renew(*, force: bool, as_json: bool) -> None:
    """Ask for the certificate now; it is renewed only if it is due."""
    from . import acme, console  # noqa: PLC0415

    _end_when_asked()
    settings = ServiceSettings.from_environ(os.environ)
    wish = acme.Wish(renew=force)
    sys.exit(console.act(settings, os.environ, wish, _now, as_json=as_json))


@certificates.command()
@click.option("--staging", is_flag=True, help="Rehearse: nothing is kept, no limit is used up.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def issue(*, staging: bool, as_json: bool) -> None:
    """Obtain the first certificate now, or rehearse it."""
    from . import acme, console  # noqa: PLC0415

    _end_when_asked()
    settings = ServiceSettings.from_environ(os.environ)
    wish = acme.Wish(rehearsal=staging)
    sys.exit(console.act(settings, os.environ, wish, _now, as_json=as_json))


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(sentence: str) -> None:
    click.echo(sentence)


def _end_when_asked() -> None:
    # SIGINT too: whoever starts this in the background may have it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

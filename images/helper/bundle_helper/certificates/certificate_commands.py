"""The `certificates` commands."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..interruption import end_when_asked
from ..settings.service_settings import ServiceSettings

if TYPE_CHECKING:
    from ..settings.certificate_settings import CertificateSettings

# What is imported inside a command is needed there alone.


@click.group()
def certificates() -> None:
    """Show, obtain or renew the server's certificate."""


@certificates.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show what is published, who issued it, and the state of its renewal."""
    from . import commands  # noqa: PLC0415

    sys.exit(commands.show_status(_read_certificate(), datetime.now(UTC), as_json=as_json))


@certificates.command()
@click.option("--force", is_flag=True, help="Renew even if it is not due (limits apply).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def renew(*, force: bool, as_json: bool) -> None:
    """Ask for the certificate now; it is renewed only if it is due."""
    from . import certbot, commands  # noqa: PLC0415

    end_when_asked()
    attempt = certbot.Attempt(force=force)
    sys.exit(commands.make_attempt(_read_certificate(), os.environ, attempt, _now, as_json=as_json))


@certificates.command()
@click.option("--staging", is_flag=True, help="Rehearse: nothing is kept, no limit is used up.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def issue(*, staging: bool, as_json: bool) -> None:
    """Obtain the first certificate now, or rehearse it."""
    from . import certbot, commands  # noqa: PLC0415

    end_when_asked()
    attempt = certbot.Attempt(rehearsal=staging)
    sys.exit(commands.make_attempt(_read_certificate(), os.environ, attempt, _now, as_json=as_json))


def _read_certificate() -> CertificateSettings:
    return ServiceSettings.from_environ(os.environ).certificate


def _now() -> datetime:
    return datetime.now(UTC)

"""The `claim` commands: output for people."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from .. import status, storage
from ..errors import HelperError
from ..interruption import end_when_asked
from ..settings.issuers import Acme
from ..settings.service_settings import ServiceSettings
from .bundle_claim import REAL_PACE, BundleClaim
from .claim_record import UnreadableError, name_record
from .rules import Standing

if TYPE_CHECKING:
    from .claim_record import ClaimRecord
    from .claiming import Pace
    from .memory import ClaimMemory

_MEANINGS = {
    Standing.HELD: "this copy holds the claim and serves",
    Standing.DOWN: "another copy holds the claim: this one does not serve",
    Standing.NEW: "not decided yet: this copy does not serve",
}


@click.group()
def claim() -> None:
    """Show or take this copy's claim to the server's name."""
    end_when_asked()


@claim.command("status")
def status_() -> None:
    """Show whether this copy holds the claim, and what DNS says."""
    sys.exit(show_status(ServiceSettings.from_environ(os.environ)))


@claim.command("take")
@click.argument("server_name")
@click.option("--offline", is_flag=True, help="Serve although the record cannot be read.")
def take_(server_name: str, *, offline: bool) -> None:
    """Take the name over from another copy of this server."""
    sys.exit(take(ServiceSettings.from_environ(os.environ), server_name, offline=offline))


def show_status(settings: ServiceSettings) -> int:
    """Print where this copy stands, and what DNS says; 0 if it holds the claim."""
    own = _require(settings)
    with own.recall() as remembered:
        click.echo(_MEANINGS[remembered.standing])
        click.echo(f"data      {remembered.instance[:12]}, epoch {remembered.epoch}")
    name = name_record(settings.homeserver)
    try:
        found = own.look()
    except HelperError as error:
        click.echo(f"DNS       {error.message}")
    else:
        shown = [_describe(record, remembered) for record in sorted(found, reverse=True)]
        click.echo(f"DNS       {name}: {'; '.join(shown) or 'nobody'}")
    return 0 if remembered.standing is Standing.HELD else 1


def take(
    settings: ServiceSettings, server_name: str, *, offline: bool, pace: Pace = REAL_PACE
) -> int:
    """Take the name from whoever has it; HelperError if that is impossible."""
    if server_name != settings.server_name:
        raise click.UsageError(
            f"this bundle is the server {settings.server_name}; nothing was changed"
        )
    own = _require(settings, pace)
    with own.recall() as remembered:
        try:
            outcome = own.take_offline(remembered) if offline else own.take(remembered, click.echo)
        except UnreadableError as error:
            raise HelperError(
                f"{error.message}; nothing was changed. If no other copy of this server runs, add"
                " --offline to serve without the record."
            ) from error
        _leave(settings, own.apply(outcome))
    click.echo(
        "this copy holds the claim and serves; the tunnel opens within a minute. If its database was"
        " shut, that opens too where backups are scheduled; otherwise type `docker compose up -d`."
    )
    return 0


def _leave(settings: ServiceSettings, content: dict[str, Any]) -> None:
    """Tell the service, which goes on from here; what it watches has changed, so it soon looks itself."""
    path = settings.state_directory / f"{status.CLAIM}.json"
    try:
        before = storage.read_json(path)
    except HelperError:
        before = {}
    storage.write_json(path, {**before, **content})


def _require(settings: ServiceSettings, pace: Pace = REAL_PACE) -> BundleClaim:
    issuer = settings.certificate.issuer
    if settings.claim is None or not isinstance(issuer, Acme):
        raise HelperError(
            "this bundle has no DNS token, so it cannot claim its name: see docs/two-copies.md for"
            " what keeps two copies apart without one"
        )
    return BundleClaim(settings, settings.claim, issuer, pace)


def _describe(record: ClaimRecord, remembered: ClaimMemory) -> str:
    if remembered.claimant().owns(record):
        return f"this copy (epoch {record.epoch})"
    data = "a copy of this data" if record.holder == remembered.instance else "other data"
    return f"{data} ({record.holder[:12]}, epoch {record.epoch})"

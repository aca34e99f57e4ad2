"""`bundle-helper wait`: what runs in a pod before its services."""

from __future__ import annotations

import os
from functools import partial

import click

from ..interruption import end_when_asked


@click.group()
def wait() -> None:
    """Wait for what a pod's services need; only a cluster uses this."""
    end_when_asked()


@wait.command()
def database() -> None:
    """Wait until Synapse's role can sign in to its database."""
    from ..settings.wait_settings import DatabaseWait  # noqa: PLC0415
    from .waiting import wait_for_database  # noqa: PLC0415

    wait_for_database(DatabaseWait.from_environ(os.environ), partial(click.echo, err=True))


@wait.command()
@click.option("--at-most", type=click.IntRange(min=1), help="Go on after this many seconds.")
def homeserver(at_most: int | None) -> None:
    """Wait until Synapse answers, and is of the version that SYNAPSE_VERSION names."""
    from ..settings.wait_settings import HomeserverWait  # noqa: PLC0415
    from .waiting import wait_for_homeserver  # noqa: PLC0415

    wait_for_homeserver(
        HomeserverWait.from_environ(os.environ), partial(click.echo, err=True), at_most
    )

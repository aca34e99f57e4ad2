"""The `user` commands: parse, call, print."""

from __future__ import annotations

import os

import click

from ..interruption import end_when_asked
from ..settings.service_settings import ServiceSettings

# What is imported inside a command is needed there alone.


@click.group()
def user() -> None:
    """Manage accounts, without the password of an administrator."""
    end_when_asked()


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make an administrator of the server.")
def add(name: str, *, admin: bool) -> None:
    """Make an account and print its first password."""
    from . import users  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    click.echo(users.add(settings, name, admin=admin).reveal())


@user.command()
@click.argument("name")
@click.option(
    "--initial", is_flag=True, help="The first administrator's, in secrets/admin_password."
)
def password(name: str, *, initial: bool) -> None:
    """Give an account a new password, print it, and end every session of the account."""
    from . import users  # noqa: PLC0415

    settings = ServiceSettings.from_environ(os.environ)
    if initial:
        users.reset_administrator(settings, name)
        click.echo("the first administrator has the password in secrets/admin_password")
        return
    renewed = users.renew_password(settings, name)
    click.echo(renewed.reveal() if renewed else "the account of `check` has its password again")


@user.command("list")
def list_users() -> None:
    """Print every account that can sign in, and which are administrators."""
    from . import users  # noqa: PLC0415

    for found in users.find_users(ServiceSettings.from_environ(os.environ)):
        words = [found.user_id, *["administrator"] * found.admin, *["locked"] * found.locked]
        click.echo("  ".join(words))

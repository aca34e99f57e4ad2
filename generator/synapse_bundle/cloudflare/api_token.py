"""One look from a bundle to Cloudflare: the settings, the token, the state, and what there is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from .. import imports
from ..errors import SettingsError
from ..settings import Settings
from . import found as inspection
from . import local_secrets as bundles
from . import notes as advice
from . import permissions
from . import state as states
from .changes import Change
from .desired import Wanted
from .found import Access, Found
from .planning import compare
from .session import Client
from .state import State

VARIABLE: Final = "CLOUDFLARE_API_TOKEN"
STANDARD_INPUT: Final = Path("-")
LONGEST_TOKEN: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What one look shows; `look` looks again."""

    client: Client
    wanted: Wanted
    state: State
    access: Access
    found: Found
    look: Callable[[State], Found]

    @property
    def changes(self) -> list[Change]:
        """How everything stands."""
        return compare(self.wanted, self.found, self.state)

    @property
    def notes(self) -> list[str]:
        """What the operator should know."""
        return list(advice.list_notes(self.wanted, self.found, self.state))

    @property
    def obstacles(self) -> list[str]:
        """What has to be put right by hand first."""
        return list(advice.list_obstacles(self.wanted, self.found, self.changes))

    def without_minting(self) -> Outlook:
        """Return the same look where the operator brings the helper's token along."""
        return replace(self, wanted=replace(self.wanted, mints=False))


def open_outlook(
    settings: Settings, base: Path, bundle: Path, token: str, identity: str = ""
) -> Outlook:
    """Look at everything; raises SettingsError where settings, token or state do not serve.

    `base` is the directory of the settings file, `identity` the mark of a state that was lost.
    """
    wanted = bundles.read_wanted(settings, base)
    state = read_state(bundle, wanted.server_name, identity)
    client = open_client(token)
    access = inspection.find_access(client, wanted)
    permissions.require(client, permissions.list_needs(access.home, access.apex))
    secrets = bundles.read_secrets(bundle)

    def look(now: State) -> Found:
        local = inspection.look_locally(client, access, secrets, now)
        return inspection.look(client, wanted, now, access, local)

    return Outlook(
        client=client, wanted=wanted, state=state, access=access, found=look(state), look=look
    )


def read_state(bundle: Path, server_name: str, identity: str) -> State:
    """Return a bundle's state, or a first one; raises SettingsError for one of another server."""
    state = states.read(bundle)
    if state and identity and state.id != identity:
        raise SettingsError(f"{bundle} has a state of its own, {state.id}; --adopt is for none")
    if state and state.server_name != server_name:
        raise SettingsError(
            f"{bundle} has the Cloudflare state of {state.server_name!r}, not {server_name!r};"
            " another server needs a bundle of its own (--output)"
        )
    return state or states.create(server_name, identity)


def open_client(token: str) -> Client:
    """Return a client whose waiting is told on standard error."""
    return Client(token, tell=lambda sentence: click.echo(f"{sentence} ...", err=True))


def read_token(file: Path | None) -> str:
    """Return the token from a file, the environment, or a hidden prompt; never from an argument.

    Raises SettingsError for what cannot be one, without showing it.
    """
    if file == STANDARD_INPUT:
        if not sys.stdin:
            raise SettingsError("The token: standard input is closed; give a file or a terminal")
        try:
            return check_token(sys.stdin.readline(LONGEST_TOKEN))
        except UnicodeDecodeError:
            raise SettingsError("The token: what is on standard input is not text") from None
    if file:
        return check_token(read_file(file))
    if VARIABLE in os.environ:
        return check_token(os.environ[VARIABLE])
    if sys.stdin and sys.stdin.isatty():
        return ask_token("Cloudflare API token")
    raise SettingsError(f"There is no token: set {VARIABLE}, or give --token-file FILE")


def ask_token(title: str) -> str:
    """Return a token that is typed in unseen; raises SettingsError for what cannot be one."""
    return check_token(str(click.prompt(title, hide_input=True)))


def check_token(text: str) -> str:
    """Return a token without what surrounds it; raises SettingsError for what cannot be one."""
    fault = imports.check_dns_token(text.strip())
    if fault:
        raise SettingsError(f"The token {fault}")
    return text.strip()


def read_file(file: Path) -> str:
    """Return a file's text; raises SettingsError where it cannot be read."""
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(LONGEST_TOKEN)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"{file}: {reason}") from error

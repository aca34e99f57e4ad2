"""The `check federation` command: a table for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from .. import findings_table
from ..errors import HelperError
from ..settings.environment import read_text
from . import network
from .names import ServerName, parse_server_name
from .proof import prove
from .rows import build_rows
from .tester_report import build_report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from ..settings.service_settings import ServiceSettings
    from .network import Trust


def show(settings: ServiceSettings, text: str, root: TextIO | None, *, as_json: bool) -> int:
    """Prove the server that a text names and print the proof; 0 if others could talk to it.

    HelperError if the text is not a server name, or `root` does not hold a certificate.
    """
    try:
        name = parse_server_name(text)
    except ValueError as error:
        raise HelperError(f"{error}. Use the part after the colon of a user ID.") from None
    proof = prove(name, network.open_network(*_more_trust(settings, name, root)))
    if as_json:
        # Escaped, because a foreign server's words may hold control characters.
        click.echo(json.dumps(build_report(proof), indent=2))
    else:
        findings_table.show(build_rows(proof), as_json=False)
    return 0 if proof.ok else 1


def _more_trust(
    settings: ServiceSettings, name: ServerName, root: TextIO | None
) -> Iterable[Trust]:
    """Yield the private roots that were asked for, and for the bundle itself its own.

    No other server is trusted because of the bundle's authority.
    """
    own = (settings.certificate.authority_certificate_file, settings.certificate.root_file)
    if str(name) == settings.server_name:
        pems = [read_text(path) for path in own if path]
        yield network.trust("this bundle's own roots", *pems)
    if root:
        yield network.trust(root.name, _read(root))


def _read(root: TextIO) -> str:
    try:
        return root.read()
    except (OSError, ValueError) as error:
        raise HelperError(f"{root.name} cannot be read as PEM") from error

"""The tunnel: made with a secret of our own, its credential, and how it goes away.

Source: API reference of accounts/cfd_tunnel; cloudflared, cfapi/tunnel.go and connection.go.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import replace
from typing import Final

from ... import imports, tunnel
from .. import hostname as surroundings
from .. import ownership as marks
from .. import removal as undoing
from ..apply_run import Work
from ..desired import TUNNEL_DOMAIN, Tunnel
from ..removal import Undoing
from ..session import Client, CloudflareError
from ..state import Kind, Made, State

ACTIVE_CONNECTIONS: Final = 1022
PATIENCE: Final = 6
PAUSE: Final = 5  # seconds; Cloudflare forgets a connection some time after it has ended


def create(work: Work) -> None:
    """Create a tunnel that the bundle's own configuration rules."""
    account, name = work.home.account, marks.name_tunnel(work.state)
    made = work.remember(Made(kind=Kind.TUNNEL, place=account, name=name))
    secret = base64.b64encode(secrets.token_bytes(tunnel.SECRET_BYTES)).decode()
    body = {"name": name, "config_src": "local", "tunnel_secret": secret}
    identity = work.client.send("POST", f"/accounts/{account}/cfd_tunnel", body)["id"]
    document = {"AccountTag": account, "TunnelSecret": secret, "TunnelID": identity}
    work.given[imports.TUNNEL] = json.dumps(document)
    work.address = f"{identity}{TUNNEL_DOMAIN}"
    work.remember(replace(made, id=identity))


def fetch_credential(work: Work) -> None:
    """Get the credential of the tunnel, unless it was made just now."""
    if work.found.tunnel:
        path = f"/accounts/{work.home.account}/cfd_tunnel/{work.found.tunnel.id}/token"
        work.given[imports.TUNNEL] = tunnel.read_credential(work.client.get(path))


def examine(client: Client, made: Made, state: State) -> Undoing:
    """Return how the tunnel is taken away; one without the bundle's mark is kept."""
    path, text = f"/accounts/{made.place}/cfd_tunnel", f"tunnel {made.name}"
    tunnels = list(map(Tunnel.parse, client.list(path, {"is_deleted": "false"})))
    ours = [each for each in tunnels if each.name == marks.name_tunnel(state)]
    renamed = [each for each in tunnels if each.id == made.id]
    if renamed and not ours:
        return undoing.keep(made, f"{text}, now {renamed[0].name!r}")
    if not ours:
        return undoing.gone(made, text)
    private = [
        route for t in ours for route in surroundings.list_private_routes(client, made.place, t.id)
    ]
    if private:
        text = f"{text} and its private routes {', '.join(private)}"
    return undoing.delete(made, text, *(f"{path}/{each.id}" for each in ours))


def delete(client: Client, path: str) -> None:
    """Delete a tunnel; one that cloudflared keeps open is cut off at last, as its --force does.

    That (`cascade`) takes the tunnel's private routes along.
    """
    for attempt in range(PATIENCE + 1):
        last = attempt == PATIENCE
        client.send("DELETE", f"{path}/connections")
        try:
            client.send("DELETE", path, query={"cascade": "true"} if last else None)
        except CloudflareError as error:
            if last or ACTIVE_CONNECTIONS not in error.codes:
                raise
            client.wait(PAUSE, "The tunnel is in use; stop it: docker compose stop cloudflared")
        else:
            return

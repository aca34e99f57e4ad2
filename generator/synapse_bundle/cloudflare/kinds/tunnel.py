"""The tunnel, created with a secret of our own, and its credential in the bundle.

Source: API reference of accounts/cfd_tunnel; cloudflared, cfapi/tunnel.go and connection.go.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ...credentials import file_names, tunnel_credential
from .. import ownership, permissions, removal
from ..access import Access
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..desired import Desired
from ..dns_records import TUNNEL_DOMAIN
from ..found import Found, PlanContext, ReadContext
from ..permissions import Permission
from ..refusals import CloudflareError
from ..remote_tunnel import RemoteTunnel, list_private_routes, list_tunnels
from ..removal import Removal, RemovalContext
from ..session import Session
from ..state import StateEntry
from .kind import Kind

_TYPE: Final = "tunnel"
_CREDENTIAL: Final = "credential"
_ACTIVE_CONNECTIONS: Final = 1022
_ATTEMPTS: Final = 7
_PAUSE: Final = 5  # seconds; Cloudflare forgets a connection some time after it has ended


@dataclass(frozen=True, kw_only=True)
class TunnelReading:
    """The tunnels of the account, and this bundle's own.

    `private_routes` are the networks and names that the account reaches through it. `credential` is
    the id of the tunnel whose credential is in the bundle; `foreign_credential` is whether that is
    another tunnel that exists.
    """

    all: tuple[RemoteTunnel, ...]
    own: RemoteTunnel | None
    private_routes: tuple[str, ...]
    credential: str
    foreign_credential: bool


class TunnelKind(Kind):
    """The tunnel and its credential."""

    types = (_TYPE,)
    replaceable = (_CREDENTIAL,)

    def list_permissions(self, access: Access) -> Iterator[Permission]:
        """Return what it takes to create a tunnel."""
        yield _need_tunnels(access.home.account)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Return what it takes to delete one."""
        yield _need_tunnels(entry.parent)

    def read(self, context: ReadContext, found: Found) -> TunnelReading:
        """Read the account's tunnels, and compare them with the credential in the bundle."""
        account, state = found.access.home.account, context.state
        tunnels = list_tunnels(context.session, account)
        known, name = {e.id for e in state.entries if e.id}, ownership.name_tunnel(state)
        own = next((t for t in tunnels if t.name == name or t.id in known), None)
        return TunnelReading(
            all=tunnels,
            own=own,
            private_routes=list_private_routes(context.session, account, own.id) if own else (),
            credential=context.secrets.tunnel,
            foreign_credential=_is_credential_foreign(context),
        )

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the tunnel, then its credential."""
        reading = context.found.get(TunnelReading)
        yield _compare_tunnel(context.desired, reading.own)
        yield _compare_credential(reading)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield tunnels of other bundles, private routes, and a migration to the dashboard."""
        reading = context.found.get(TunnelReading)
        for each in reading.all:
            other = ownership.find_other_bundle(each.name, context.state)
            if other:
                yield Note(
                    text=f"Another bundle, {other}, has a tunnel for this server ({each.status}). If"
                    " it is this bundle and its .cloudflare.json was lost: restore that from a"
                    f" backup, or run: synapse-bundle cloudflare apply --adopt {other}"
                )
        if reading.private_routes:
            yield Note(
                text=f"The tunnel has private routes ({', '.join(reading.private_routes)}): the"
                " account reaches that network through cloudflared. Delete them, or keep"
                " cloudflared from it: docs/cloudflare.md, Private routes"
            )
        if reading.own and not reading.own.local:
            yield Note(
                text="The tunnel was migrated in the dashboard: it takes its configuration from"
                " there, not from the bundle. Delete it there and apply again"
            )

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Delete the tunnel with its private routes; one without the bundle's id is kept."""
        session, subject = context.session, f"tunnel {entry.name}"
        tunnels = list_tunnels(session, entry.parent)
        name = ownership.name_tunnel(context.state)
        ours = [each for each in tunnels if each.name == name]
        renamed = [each for each in tunnels if each.id == entry.id]
        if renamed and not ours:
            return removal.keep(entry, f"{subject}, now {renamed[0].name!r}")
        if not ours:
            return removal.missing(entry, subject)
        routes = [r for t in ours for r in list_private_routes(session, entry.parent, t.id)]
        if routes:
            subject = f"{subject} and its private routes {', '.join(routes)}"
        path = f"/accounts/{entry.parent}/cfd_tunnel"
        steps = (partial(_delete, f"{path}/{each.id}") for each in ours)
        return removal.delete(entry, subject, *steps)


def get_address(run: ApplyRun) -> str:
    """Return the name that a CNAME to the tunnel points to, one that this run created too."""
    own = run.found.get(TunnelReading).own
    created = run.state.find(_TYPE, ownership.name_tunnel(run.state))
    return f"{own.id if own else created.id if created else ''}{TUNNEL_DOMAIN}"


def _need_tunnels(account: str) -> Permission:
    path = f"/accounts/{account}/cfd_tunnel"
    return Permission(
        name=permissions.TUNNEL, path=f"{path}/{permissions.NO_UUID}", create_path=path
    )


def _is_credential_foreign(context: ReadContext) -> bool:
    """Return whether the credential in the bundle is for another tunnel that exists.

    Whether a tunnel of another account exists cannot be read, so it counts as existing.
    """
    account, identity = context.secrets.account, context.secrets.tunnel
    if not identity or identity in {entry.id for entry in context.state.entries}:
        return False
    if account != context.access.home.account:
        return True
    known = context.session.find(f"/accounts/{account}/cfd_tunnel/{identity}")
    return bool(known and not known.get("deleted_at"))


def _compare_tunnel(desired: Desired, own: RemoteTunnel | None) -> ResourceChange:
    text = f"tunnel for {desired.server_name}"
    if not own:
        return ResourceChange(
            resource=_TYPE, condition=Condition.MISSING, verb="create", text=text, apply=_create
        )
    # Lists of tunnels are about to lose their connections.
    number = f", {own.connections} connections" if own.connections else ""
    text = f"{text} ({own.status}{number})"
    return ResourceChange(resource=_TYPE, condition=Condition.PRESENT, text=text)


def _compare_credential(reading: TunnelReading) -> ResourceChange:
    if reading.own and reading.credential == reading.own.id:
        return ResourceChange(
            resource=_CREDENTIAL, condition=Condition.PRESENT, text="secrets/tunnel.json"
        )
    if reading.foreign_credential:
        return ResourceChange(
            resource=_CREDENTIAL,
            condition=Condition.FOREIGN,
            verb="replace",
            text=f"secrets/tunnel.json, which is for another tunnel ({reading.credential})",
            apply=_fetch_credential,
        )
    return ResourceChange(
        resource=_CREDENTIAL,
        condition=Condition.MISSING,
        verb="fetch" if reading.own else "write",
        text="the tunnel's credential into secrets/tunnel.json",
        apply=_fetch_credential,
    )


def _create(run: ApplyRun) -> None:
    """Create a tunnel that takes its configuration from the bundle."""
    account, name = run.home.account, ownership.name_tunnel(run.state)
    entry = run.remember(StateEntry(type=_TYPE, parent=account, name=name))
    secret = base64.b64encode(secrets.token_bytes(tunnel_credential.SECRET_BYTES)).decode()
    body = {"name": name, "config_src": "local", "tunnel_secret": secret}
    identity = run.session.send("POST", f"/accounts/{account}/cfd_tunnel", body)["id"]
    document = {"AccountTag": account, "TunnelSecret": secret, "TunnelID": identity}
    run.secrets[file_names.TUNNEL] = json.dumps(document)
    run.remember(replace(entry, id=identity))


def _fetch_credential(run: ApplyRun) -> None:
    """Get the credential of the tunnel, unless it was created just now."""
    own = run.found.get(TunnelReading).own
    if own:
        path = f"/accounts/{run.home.account}/cfd_tunnel/{own.id}/token"
        run.secrets[file_names.TUNNEL] = tunnel_credential.read_credential(run.session.get(path))


def _delete(path: str, session: Session) -> None:
    """Delete a tunnel; the last attempt cuts off a cloudflared that keeps it open, like --force.

    That (`cascade`) deletes the tunnel's private routes with it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        last = attempt == _ATTEMPTS
        try:
            session.send("DELETE", f"{path}/connections")
            session.send("DELETE", path, query={"cascade": "true"} if last else None)
        except CloudflareError as error:
            if error.missing:
                return
            if last or _ACTIVE_CONNECTIONS not in error.codes:
                raise
            session.wait(_PAUSE, "The tunnel is in use; stop it: docker compose stop cloudflared")
        else:
            return

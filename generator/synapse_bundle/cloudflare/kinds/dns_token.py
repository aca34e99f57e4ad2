"""The helper's own token, for the DNS of one zone and nothing else.

Source: "Create tokens via API" of Cloudflare Fundamentals; API reference of user/tokens and
accounts/tokens. The value is shown once; a lost one can only be rolled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ...credentials import file_names
from .. import ownership, permissions, removal
from ..access import ACCOUNT_DASHBOARD, USER, USER_DASHBOARD, Access
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..found import Found, PlanContext, ReadContext
from ..permissions import Permission
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..session import Session
from ..state import StateEntry
from .dns import need_records
from .kind import Kind

TOKEN: Final = "token"  # noqa: S105  # a word
_PERMISSION: Final = "DNS Write"
_SCOPE: Final = "com.cloudflare.api.account.zone"


@dataclass(frozen=True, kw_only=True)
class RemoteToken:
    """An API token of the same owner, without its value; an expired one is not active."""

    id: str
    name: str
    active: bool


@dataclass(frozen=True, kw_only=True)
class TokenReading:
    """Whether the token in the bundle works, else which tokens there are.

    `tokens` is None if the operator's token may not create others.
    """

    works: bool
    tokens: tuple[RemoteToken, ...] | None


class DnsTokenKind(Kind):
    """The helper's DNS token."""

    types = (TOKEN,)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Yield what it takes to delete a token."""
        yield _need_tokens(entry.parent)

    def read(self, context: ReadContext, found: Found) -> TokenReading:
        """Try the token in the bundle; read the tokens of the owner if it does not work."""
        session, access, token = context.session, found.access, context.secrets.token
        works = bool(token) and permissions.is_granted(
            session.change_token(token), need_records(access.home.id)
        )
        wanted = context.desired.needs_token and not works
        return TokenReading(works=works, tokens=_list_tokens(session, access) if wanted else ())

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the token, if one is needed."""
        if context.desired.needs_token:
            yield _compare(context)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield that a token has to be created by hand."""
        reading = context.found.get(TokenReading)
        if context.desired.needs_token and not reading.works and reading.tokens is None:
            yield Note(text=write_advice(context.found.access), stops=True)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Delete the token; one without the bundle's id is kept, one that is not seen skipped."""
        path, subject = f"{entry.parent}/tokens", f"API token {entry.name}"
        found = [
            t for t in context.session.list(path) if entry.id == t["id"] or entry.name == t["name"]
        ]
        tag = ownership.write_tag(context.state)
        ours = [token for token in found if token["name"].startswith(f"{tag} ")]
        if ours:
            steps = (removal.delete_path(f"{path}/{token['id']}") for token in ours)
            return removal.delete(entry, subject, *steps)
        if found:
            return removal.keep(entry, subject)
        if _is_alive(context, entry):
            reason = (
                "it works and belongs to another user; run this with a token of theirs, or have"
                " them delete it"
            )
            return removal.skip(entry, subject, reason)
        return removal.missing(entry, subject)


def write_advice(access: Access) -> str:
    """Return how the helper gets a DNS token that the operator's token may not create."""
    dashboard = USER_DASHBOARD if access.owner == USER else ACCOUNT_DASHBOARD
    zone = access.home.name
    return (
        f"The helper needs a token for the DNS of {zone}, and yours may not create one: it lacks"
        f" {_name_permission(access.owner)}. Or create one by hand: {dashboard} → Create Token →"
        f" Edit zone DNS, Use template → Zone Resources: Include, Specific zone, {zone} → Continue"
        " to summary → Create Token; save it in a file and run: synapse-bundle cloudflare apply"
        " --dns-token-file FILE"
    )


def _name_permission(owner: str) -> str:
    return permissions.USER_TOKENS if owner == USER else permissions.ACCOUNT_TOKENS


def _need_tokens(owner: str) -> Permission:
    path = f"{owner}/tokens"
    return Permission(
        name=_name_permission(owner), path=f"{path}/{permissions.NO_ID}", create_path=path
    )


def _list_tokens(session: Session, access: Access) -> tuple[RemoteToken, ...] | None:
    """Return the tokens of the token's owner, or None if it may not create others."""
    if not permissions.is_granted(session, _need_tokens(access.owner)):
        return None
    try:
        found = list(session.list(f"{access.owner}/tokens"))
    except CloudflareError as error:
        if error.denied:
            return None
        raise
    return tuple(
        RemoteToken(
            id=each["id"], name=each["name"], active=each.get("status", "active") == "active"
        )
        for each in found
    )


def _compare(context: PlanContext) -> ResourceChange:
    reading, zone = context.found.get(TokenReading), context.found.access.home.name
    text = f"token for the helper: DNS of {zone} and nothing else, into secrets/dns_token"
    if reading.works:
        return ResourceChange(resource=TOKEN, condition=Condition.PRESENT, text=text)
    if reading.tokens is None:
        return ResourceChange(resource=TOKEN, condition=Condition.LEFT, text=text)
    known = [t for t in reading.tokens if t.name == ownership.name_token(context.state, zone)]
    condition = Condition.CHANGED if known else Condition.MISSING
    verb = "roll" if known and known[0].active else "create"
    return ResourceChange(resource=TOKEN, condition=condition, verb=verb, text=text, apply=_create)


def _create(run: ApplyRun) -> None:
    """Create the token, or give the one whose value was lost a new value."""
    if file_names.TOKEN in run.secrets:
        return
    owner, name = run.found.access.owner, ownership.name_token(run.state, run.home.name)
    entry = run.remember(StateEntry(type=TOKEN, parent=owner, name=name))
    tokens = run.found.get(TokenReading).tokens or ()
    known = next((token for token in tokens if token.name == name), None)
    if known and known.active:
        identity = known.id
        value = run.session.send("PUT", f"{owner}/tokens/{identity}/value", {})
    else:
        if known:
            run.session.send("DELETE", f"{owner}/tokens/{known.id}")
        created = _send_creation(run, owner, name)
        identity, value = created["id"], created["value"]
    run.secrets[file_names.TOKEN] = value
    run.remember(replace(entry, id=identity))


def _send_creation(run: ApplyRun, owner: str, name: str) -> dict[str, Any]:
    """Return a new token; raises CloudflareError that says how to do without if it is refused."""
    policy = {
        "effect": "allow",
        "resources": {f"{_SCOPE}.{run.home.id}": "*"},
        "permission_groups": [{"id": _find_permission(run.session, owner)}],
    }
    body = {"name": name, "policies": [policy]}
    try:
        created: dict[str, Any] = run.session.send("POST", f"{owner}/tokens", body)
    except CloudflareError as error:
        if not error.refused:
            raise
        raise error.extend(
            "The helper's token could not be created. Delete tokens that you no longer use (a user"
            " may have 50) or bring one along: apply --dns-token-file FILE"
        ) from error
    return created


def _find_permission(session: Session, owner: str) -> str:
    """Return the id of the permission to edit DNS; raises CloudflareError if there is none.

    The list is one page. Its filter by name is not used: how to encode a space is undocumented.
    """
    for each in session.get(f"{owner}/tokens/permission_groups"):
        if each["name"] == _PERMISSION and _SCOPE in each["scopes"]:
            return str(each["id"])
    raise CloudflareError(f"Cloudflare no longer has a permission {_PERMISSION!r}")


def _is_alive(context: RemovalContext, entry: StateEntry) -> bool:
    """Return whether the token in the bundle is the one that was created, and works."""
    if not context.token:
        return False
    session = context.session.change_token(context.token)
    verified = permissions.read_if_allowed(session, f"{entry.parent}/tokens/verify") or {}
    return verified.get("status") == "active" and verified.get("id") == entry.id

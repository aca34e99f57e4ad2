"""The Worker that answers the well-known paths of the server name.

Sources: API reference of accounts/workers/scripts; "Multipart upload metadata" of the Workers
documentation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ...errors import BundleError
from .. import operator_rules, ownership, permissions, removal, worker_scripts
from ..access import Access
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..desired import Desired, DesiredWorker
from ..found import Found, PlanContext, ReadContext
from ..permissions import Permission
from ..refusals import CloudflareError
from ..removal import Removal, RemovalContext
from ..state import IDENTIFIER, StateEntry
from ..worker_scripts import WorkerScript
from .apex import can_be_proxied
from .kind import Kind

ROUTE: Final = "route"  # if its route is left as it is, the Worker has no use
_WORKER: Final = "worker"
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}")
_MODULE: Final = "worker.js"
_NEEDS_SUBDOMAIN: Final = 10063
_DASHBOARD: Final = "https://dash.cloudflare.com/?to=/:account/workers-and-pages"


@dataclass(frozen=True, kw_only=True)
class WorkerReading:
    """This bundle's Worker, and whether its account has a workers.dev subdomain.

    `redirects` are sentences on rules that may redirect before the Worker runs.
    """

    script: WorkerScript | None = None
    subdomain: bool = True
    redirects: tuple[str, ...] = ()


class WorkerKind(Kind):
    """The Worker, without its route."""

    types = (_WORKER,)

    def list_permissions(self, access: Access) -> Iterator[Permission]:
        """Yield what it takes to upload a Worker."""
        if access.apex:
            yield _need_scripts(access.apex.account)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Yield what it takes to delete one."""
        yield _need_scripts(entry.parent)

    def read(self, context: ReadContext, found: Found) -> WorkerReading:
        """Read the Worker, its account's subdomain, and rules that may redirect."""
        session, apex, desired = context.session, found.access.apex, context.desired
        if not apex:
            return WorkerReading()
        name = ownership.name_script(desired.worker, context.state)
        return WorkerReading(
            script=worker_scripts.find_script(session, apex.account, name),
            subdomain=worker_scripts.has_subdomain(session, apex.account),
            redirects=tuple(operator_rules.note_redirects(session, desired, apex)),
        )

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the subdomain, the Worker, and its address at workers.dev."""
        if not is_needed(context):
            return
        reading = context.found.get(WorkerReading)
        text = f"Worker {context.desired.worker.name}"
        if not reading.script and not reading.subdomain:
            yield ResourceChange(
                resource="subdomain",
                condition=Condition.MISSING,
                verb="register",
                text=f"{ownership.name_subdomain(context.state)}.workers.dev for the account, which has no"
                " such subdomain yet and may need one for a Worker; destroy leaves it",
                apply=_register_subdomain,
            )
        yield _compare_script(context, reading.script, text)
        if not reading.script or reading.script.public:
            yield ResourceChange(
                resource="workers.dev",
                condition=Condition.CHANGED,
                verb="hide",
                text=f"{text} at workers.dev, previews too",
                apply=_hide,
            )

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield what to serve where no Worker answers, and what may redirect before it does."""
        yield from (Note(text=text) for text in context.found.get(WorkerReading).redirects)
        if not context.desired.delegates:
            return
        paths = f"https://{context.desired.server_name}/.well-known/matrix/"
        files = "the files are bundle/apache/well-known/*.json"
        if not context.found.access.apex:
            text = f"The token shows no zone for {context.desired.server_name}: serve {paths} there yourself; {files}"
            yield Note(text=text)
        elif not is_needed(context):
            yield Note(text=f"No Worker answers {paths}: serve it there yourself; {files}")

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Delete the Worker; raises BundleError if a route that is not ours needs it."""
        session, subject = context.session, f"Worker {entry.name}"
        if not worker_scripts.has_script(session, entry.parent, entry.name):
            return removal.missing(entry, subject)
        if not ownership.is_our_script(entry.name, context.state):
            return removal.keep(entry, subject)
        routes = worker_scripts.list_routes(session, entry.before["zone"])
        others = [
            route.pattern
            for route in routes
            if route.script == entry.name and route.pattern != entry.before["pattern"]
        ]
        if others:
            raise BundleError(
                f"{subject} is used by a route that was not created here: {', '.join(others)}."
                " Delete that route first, or point it to another Worker"
            )
        path = f"/accounts/{entry.parent}/workers/scripts/{entry.name}"
        return removal.delete(entry, subject, removal.delete_path(path))

    def is_stale(self, _: StateEntry, desired: Desired) -> bool:
        """Return whether the server name is the homeserver's."""
        return not desired.delegates

    def require_entry(self, entry: StateEntry) -> None:
        """Raise ValueError or LookupError for a name or a zone that would lead elsewhere."""
        if not (_NAME.fullmatch(entry.name) and IDENTIFIER.fullmatch(entry.before["zone"])):
            raise ValueError(entry.name)


def is_needed(context: PlanContext) -> bool:
    """Return whether a Worker is desired and would be asked."""
    wanted = context.desired.delegates and context.found.access.apex
    return bool(wanted) and ROUTE not in context.state.left and can_be_proxied(context)


def _need_scripts(account: str) -> Permission:
    path = f"/accounts/{account}/workers/scripts/{permissions.NO_SCRIPT}"
    return Permission(name=permissions.SCRIPTS, path=path)


def _compare_script(context: PlanContext, script: WorkerScript | None, text: str) -> ResourceChange:
    worker, state = context.desired.worker, context.state
    entry = state.find(_WORKER, ownership.name_script(worker, state))
    condition = Condition.CHANGED if script else Condition.MISSING
    if script and entry and entry.after == _fingerprint(worker, script.etag):
        return ResourceChange(resource=_WORKER, condition=Condition.PRESENT, text=text)
    return ResourceChange(
        resource=_WORKER, condition=condition, verb="upload", text=text, apply=_upload
    )


def _fingerprint(worker: DesiredWorker, etag: str) -> dict[str, str]:
    """Return what changes with a Worker's content, and with what Cloudflare has of it."""
    content = worker.compatibility_date.encode() + b"\0" + worker.source
    return {"etag": etag, "digest": hashlib.sha256(content).hexdigest()}


def _register_subdomain(run: ApplyRun) -> str | None:
    """Register a subdomain; whether a Worker can do without is seen at its upload."""
    path = f"/accounts/{run.apex.account}/workers/subdomain"
    try:
        run.session.send("PUT", path, {"subdomain": ownership.name_subdomain(run.state)})
    except CloudflareError as error:
        if not error.refused:
            raise
        return error.message
    return None


def _upload(run: ApplyRun) -> None:
    """Upload the Worker, and remember its etag to notice edits."""
    worker, name = run.desired.worker, ownership.name_script(run.desired.worker, run.state)
    route = {"zone": run.apex.id, "pattern": worker.pattern}
    entry = StateEntry(type=_WORKER, parent=run.apex.account, name=name, before=route)
    run.remember(entry)
    metadata = {
        "main_module": _MODULE,
        "compatibility_date": worker.compatibility_date,
        "tags": [ownership.write_tag(run.state).replace(" ", "-")],
    }
    files = [
        ("metadata", (None, json.dumps(metadata), "application/json")),
        ("files", (_MODULE, worker.source, "application/javascript+module")),
    ]
    path = f"/accounts/{run.apex.account}/workers/scripts/{name}"
    try:
        script = run.session.send("PUT", path, files=files)
    except CloudflareError as error:
        if _NEEDS_SUBDOMAIN not in error.codes:
            raise
        advice = f"Open {_DASHBOARD} once, which creates one, and run the command again"
        raise error.extend(advice) from error
    run.remember(replace(entry, after=_fingerprint(worker, script.get("etag") or "")))


def _hide(run: ApplyRun) -> None:
    """Switch the Worker's addresses at workers.dev off, if the account has any."""
    name = ownership.name_script(run.desired.worker, run.state)
    path = f"/accounts/{run.apex.account}/workers/scripts/{name}/subdomain"
    body = {"enabled": False, "previews_enabled": False}
    try:
        run.session.send("POST", path, body, repeatable=True)
    except CloudflareError as error:
        if not error.missing:
            raise

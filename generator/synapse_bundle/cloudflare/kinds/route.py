"""The route that leads the well-known paths of the server name to the Worker.

Source: API reference of zones/workers/routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import ownership, permissions, removal, worker_scripts
from ..access import Access
from ..apply_run import ApplyRun
from ..changes import Condition, Note, ResourceChange
from ..desired import Desired
from ..found import Found, PlanContext, ReadContext
from ..permissions import Permission
from ..removal import Removal, RemovalContext
from ..state import StateEntry
from ..worker_scripts import WorkerRoute
from .apex import APEX
from .kind import Kind
from .worker import ROUTE, is_needed


@dataclass(frozen=True, kw_only=True)
class RouteReading:
    """The Worker routes of the server name's zone."""

    routes: tuple[WorkerRoute, ...] = ()

    def find(self, pattern: str) -> WorkerRoute | None:
        """Return the route of a pattern, or else the one that is written with https://."""
        routes = {route.pattern: route for route in self.routes}
        return routes.get(pattern) or routes.get(f"https://{pattern}")


class RouteKind(Kind):
    """The Worker's route."""

    types = (ROUTE,)
    replaceable = (ROUTE,)
    leavable = (ROUTE,)

    def list_permissions(self, access: Access) -> Iterator[Permission]:
        """Yield what it takes to change routes."""
        if access.apex:
            yield _need_routes(access.apex.id)

    def list_removal_permissions(self, entry: StateEntry) -> Iterator[Permission]:
        """Yield what it takes to change routes in the zone of an entry."""
        yield _need_routes(entry.parent)

    def read(self, context: ReadContext, found: Found) -> RouteReading:
        """Read the routes of the zone."""
        apex = found.access.apex
        routes = worker_scripts.list_routes(context.session, apex.id) if apex else ()
        return RouteReading(routes=routes)

    def compare(self, context: PlanContext) -> Iterator[ResourceChange]:
        """Yield the route."""
        if is_needed(context):
            yield _compare(context)

    def list_notes(self, context: PlanContext) -> Iterator[Note]:
        """Yield routes that are more specific than ours."""
        if not context.desired.delegates:
            return
        pattern = context.desired.worker.pattern
        for route in context.found.get(RouteReading).routes:
            bare = route.pattern.removeprefix("https://").removeprefix("http://")
            if bare.startswith(pattern.removesuffix("*")) and route.pattern != pattern:
                text = f"The route {route.pattern} -> {route.target} is more specific and overrides ours"
                yield Note(text=text)

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Restore the route's former Worker, or delete the route."""
        subject = f"route {entry.name}"
        routes = worker_scripts.list_routes(context.session, entry.parent)
        route = next((route for route in routes if route.pattern == entry.name), None)
        if not route:
            return removal.missing(entry, subject)
        if route.script != entry.after or not ownership.is_our_script(entry.after, context.state):
            return removal.keep(entry, subject)
        path = f"/zones/{entry.parent}/workers/routes/{route.id}"
        if entry.before is None:
            return removal.delete(entry, subject, removal.delete_path(path))
        step = removal.send("PUT", path, {"pattern": entry.name, **entry.before})
        former = entry.before.get("script", "no Worker")
        return removal.restore(entry, subject, step, detail=f" -> {former}")

    def is_stale(self, _: StateEntry, desired: Desired) -> bool:
        """Return whether the server name is the homeserver's."""
        return not desired.delegates


def _need_routes(zone: str) -> Permission:
    path = f"/zones/{zone}/workers/routes/{permissions.NO_ID}"
    return Permission(name=permissions.ROUTES, path=path)


def _compare(context: PlanContext) -> ResourceChange:
    worker, pattern = context.desired.worker, context.desired.worker.pattern
    text = f"route {pattern} -> Worker {worker.name}"
    route = context.found.get(RouteReading).find(pattern)
    if not route:
        return ResourceChange(
            resource=ROUTE, condition=Condition.MISSING, verb="create", text=text, apply=_put
        )
    if (route.script, route.pattern) == (ownership.name_script(worker, context.state), pattern):
        return ResourceChange(resource=ROUTE, condition=Condition.PRESENT, text=text)
    return ResourceChange(
        resource=ROUTE,
        condition=Condition.FOREIGN,
        verb="replace",
        text=f"route {route.pattern} -> {route.target} by {text}",
        apply=_put,
        depends_on=APEX,
    )


def _put(run: ApplyRun) -> None:
    """Lead the well-known paths to the Worker."""
    pattern = run.desired.worker.pattern
    script = ownership.name_script(run.desired.worker, run.state)
    route = run.found.get(RouteReading).find(pattern)
    before: dict[str, Any] | None = None
    if route:
        before = {"pattern": route.pattern}
        before |= {"script": route.script} if route.script else {}
    run.remember(
        StateEntry(type=ROUTE, parent=run.apex.id, name=pattern, before=before, after=script)
    )
    path, body = f"/zones/{run.apex.id}/workers/routes", {"pattern": pattern, "script": script}
    if route:
        run.session.send("PUT", f"{path}/{route.id}", body)
    else:
        run.session.send("POST", path, body)

"""How other servers and apps get from the server name to the homeserver: record, Worker, route.

Source: "Routes" of the Workers documentation: a route is asked only for names that are proxied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from . import ownership as marks
from .changes import Change, Condition, Part
from .desired import PLACEHOLDER, Record, Route, Wanted, Worker
from .found import Found
from .state import Kind, State


def compare_apex(wanted: Wanted, found: Found, state: State) -> Iterator[Change]:
    """Yield what makes Cloudflare see requests for the server name: any proxied record there."""
    if not wanted.delegates or not found.access.apex:
        return
    text = f"AAAA {wanted.server_name} -> {PLACEHOLDER} (proxied), because it has no record"
    ours, foreign = marks.divide(found.apex_records, state)
    if not foreign:
        if found.around_apex.wildcards:
            yield compare_wildcard(wanted, list(found.around_apex.wildcards), state)
        else:
            yield compare_placeholder(ours, text)
        return
    if ours:
        yield Change(
            part=Part.PLACEHOLDER,
            condition=Condition.CHANGED,
            verb="remove",
            text=f"{ours[0]}: {wanted.server_name} has a record of its own now",
        )
    shown = marks.show_records(foreign, state)
    if any(record.proxied for record in foreign):
        yield Change(part=Part.APEX, condition=Condition.PRESENT, text=f"{shown} (proxied)")
    elif Part.APEX in state.left or not any(record.proxiable for record in foreign):
        yield Change(part=Part.APEX, condition=Condition.LEFT, text=f"{shown} (DNS only)")
    else:
        yield Change(
            part=Part.APEX,
            condition=Condition.FOREIGN,
            verb="proxy",
            text=f"{shown}, which is DNS only; its visitors will come through Cloudflare, where only"
            " web traffic passes: SSH, IMAP, FTP and the like end at this name. With the zone's"
            " SSL/TLS mode Flexible, a site that redirects to HTTPS loops: set Full (strict) first",
        )


def compare_wildcard(wanted: Wanted, wildcards: list[Record], state: State) -> Change:
    """Return how the wildcard stands that answers for a server name without records."""
    shown = marks.show_records(wildcards, state)
    if any(record.proxied for record in wildcards):
        return Change(part=Part.APEX, condition=Condition.PRESENT, text=f"{shown} (proxied)")
    if Part.APEX in state.left:
        return Change(part=Part.APEX, condition=Condition.LEFT, text=f"{shown} (DNS only)")
    name = wanted.server_name
    return Change(
        part=Part.APEX,
        condition=Condition.FOREIGN,
        verb="replace",
        text=f"{shown}, which is DNS only, by AAAA {name} -> {PLACEHOLDER} (proxied) at this one"
        f" name; a site behind the wildcard is no longer reached under {name}",
    )


def compare_placeholder(ours: list[Record], text: str) -> Change:
    """Return how the placeholder stands."""
    if not ours:
        return Change(part=Part.PLACEHOLDER, condition=Condition.MISSING, verb="create", text=text)
    record = ours[0]
    if (record.type, record.content, record.proxied) == ("AAAA", PLACEHOLDER, True):
        return Change(part=Part.PLACEHOLDER, condition=Condition.PRESENT, text=text)
    return Change(part=Part.PLACEHOLDER, condition=Condition.CHANGED, verb="update", text=text)


def compare_worker(wanted: Wanted, found: Found, state: State) -> Iterator[Change]:
    """Yield the Worker that answers the well-known paths, and the route that leads to it."""
    if not needs_worker(wanted, found, state):
        return
    name = marks.name_script(wanted.worker, state)
    script, made = found.script, state.find(Kind.WORKER, name)
    text = f"Worker {wanted.worker.name}"
    if not script and not found.subdomain:
        yield Change(
            part=Part.SUBDOMAIN,
            condition=Condition.MISSING,
            verb="register",
            text=f"{marks.name_subdomain(state)}.workers.dev for the account, which has no such"
            " name yet and may have no Worker without one; a destroy leaves it",
        )
    if not script:
        yield Change(part=Part.WORKER, condition=Condition.MISSING, verb="upload", text=text)
    elif made and made.after == {"etag": script.etag, "digest": fingerprint(wanted.worker)}:
        yield Change(part=Part.WORKER, condition=Condition.PRESENT, text=text)
    else:
        yield Change(part=Part.WORKER, condition=Condition.CHANGED, verb="upload", text=text)
    if not script or script.public:
        yield Change(
            part=Part.WORKERS_DEV,
            condition=Condition.CHANGED,
            verb="hide",
            text=f"{text} at workers.dev, previews too",
        )
    yield compare_route(wanted, found, name)


def needs_worker(wanted: Wanted, found: Found, state: State) -> bool:
    """Tell whether a Worker is wanted and would be asked."""
    if not wanted.delegates or not found.access.apex or Part.ROUTE in state.left:
        return False
    _, foreign = marks.divide(found.apex_records, state)
    wildcards = found.around_apex.wildcards
    standing = [*foreign, *wildcards]
    grey = standing and not any(record.proxied for record in standing)
    possible = bool(wildcards) or any(record.proxiable for record in foreign)
    return not grey or (possible and Part.APEX not in state.left)


def compare_route(wanted: Wanted, found: Found, script: str) -> Change:
    """Return how the Worker's route stands."""
    pattern = wanted.worker.pattern
    text = f"route {pattern} -> Worker {wanted.worker.name}"
    route = find_route(found, pattern)
    if not route:
        return Change(part=Part.ROUTE, condition=Condition.MISSING, verb="create", text=text)
    if route.script == script and route.pattern == pattern:
        return Change(part=Part.ROUTE, condition=Condition.PRESENT, text=text)
    now = f"Worker {route.script}" if route.script else "no Worker"
    return Change(
        part=Part.ROUTE,
        condition=Condition.FOREIGN,
        verb="replace",
        text=f"route {route.pattern} -> {now} by {text}",
    )


def find_route(found: Found, pattern: str) -> Route | None:
    """Return the route of a pattern, or else the one that is written with https://."""
    routes = {route.pattern: route for route in found.routes}
    return routes.get(pattern) or routes.get(f"https://{pattern}")


def fingerprint(worker: Worker) -> str:
    """Return what stands for a Worker's content."""
    content = worker.compatibility_date.encode() + b"\0" + worker.source
    return hashlib.sha256(content).hexdigest()

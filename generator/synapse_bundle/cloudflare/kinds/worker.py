"""The Worker, its addresses at workers.dev, and the route that leads to it.

Sources: API reference of accounts/workers/scripts and zones/workers/routes; "Multipart upload
metadata" of the Workers documentation.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from ...errors import BundleError
from .. import discovery
from .. import ownership as marks
from .. import removal as undoing
from ..apply_run import Work
from ..desired import Json
from ..removal import Undoing
from ..session import Client, CloudflareError
from ..state import Kind, Made, State

MODULE: Final = "worker.js"
NEEDS_SUBDOMAIN: Final = 10063
WORKERS: Final = "https://dash.cloudflare.com/?to=/:account/workers-and-pages"


def register(work: Work) -> None:
    """Give the account a name at workers.dev; whether a Worker does without is seen at the upload."""
    path = f"/accounts/{work.apex.account}/workers/subdomain"
    try:
        work.client.send("PUT", path, {"subdomain": marks.name_subdomain(work.state)})
    except CloudflareError as error:
        if not error.refused:
            raise
        work.say(f"skip     {error.message}")


def upload(work: Work) -> None:
    """Upload the Worker; what Cloudflare calls its content is remembered, to see edits."""
    worker, name = work.wanted.worker, marks.name_script(work.wanted.worker, work.state)
    places = {"zone": work.apex.id, "pattern": worker.pattern}
    made = Made(kind=Kind.WORKER, place=work.apex.account, name=name, before=places)
    work.remember(made)
    metadata = {
        "main_module": MODULE,
        "compatibility_date": worker.compatibility_date,
        "tags": [marks.write_mark(work.state).replace(" ", "-")],
    }
    files = [
        ("metadata", (None, json.dumps(metadata), "application/json")),
        ("files", (MODULE, worker.source, "application/javascript+module")),
    ]
    path = f"/accounts/{work.apex.account}/workers/scripts/{name}"
    try:
        script = work.client.send("PUT", path, files=files)
    except CloudflareError as error:
        if NEEDS_SUBDOMAIN not in error.codes:
            raise
        raise CloudflareError(
            f"{error.message}. Open {WORKERS} once, which makes one, and run the command again",
            status=error.status,
            codes=error.codes,
        ) from error
    after = {"etag": script.get("etag") or "", "digest": discovery.fingerprint(worker)}
    work.remember(replace(made, after=after))


def hide(work: Work) -> None:
    """Switch the Worker's addresses at workers.dev off, if the account has any."""
    name = marks.name_script(work.wanted.worker, work.state)
    path = f"/accounts/{work.apex.account}/workers/scripts/{name}/subdomain"
    body = {"enabled": False, "previews_enabled": False}
    try:
        work.client.send("POST", path, body, repeatable=True)
    except CloudflareError as error:
        if not error.missing:
            raise


def put_route(work: Work) -> None:
    """Lead the well-known paths to the Worker."""
    pattern, script = work.wanted.worker.pattern, marks.name_script(work.wanted.worker, work.state)
    route = discovery.find_route(work.found, pattern)
    before: Json | None = None
    if route:
        before = {"pattern": route.pattern}
        before |= {"script": route.script} if route.script else {}
    made = Made(kind=Kind.ROUTE, place=work.apex.id, name=pattern, before=before, after=script)
    work.remember(made)
    path, body = f"/zones/{work.apex.id}/workers/routes", {"pattern": pattern, "script": script}
    if route:
        work.client.send("PUT", f"{path}/{route.id}", body)
    else:
        work.client.send("POST", path, body)


def examine_route(client: Client, made: Made, state: State) -> Undoing:
    """Return how a route is taken back: its former Worker, or no route."""
    path = f"/zones/{made.place}/workers/routes"
    route = next((r for r in client.get(path) or [] if r["pattern"] == made.name), None)
    text = f"route {made.name}"
    if not route:
        return undoing.gone(made, text)
    if route.get("script") != made.after or not marks.is_our_script(made.after, state):
        return undoing.keep(made, text)
    place = f"{path}/{route['id']}"
    if made.before is None:
        return undoing.delete(made, text, place)
    shown = f"{text} -> {made.before.get('script', 'no Worker')}"
    return undoing.restore(made, shown, ("PUT", place, {"pattern": made.name, **made.before}))


def examine(client: Client, made: Made, state: State) -> Undoing:
    """Return how a Worker is taken away; raises BundleError where a strange route needs it."""
    path, text = f"/accounts/{made.place}/workers/scripts", f"Worker {made.name}"
    if not any(script["id"] == made.name for script in client.get(path) or []):
        return undoing.gone(made, text)
    if not marks.is_our_script(made.name, state):
        return undoing.keep(made, text)
    routes = client.get(f"/zones/{made.before['zone']}/workers/routes") or []
    needing = [r["pattern"] for r in routes if r.get("script") == made.name]
    strange = [pattern for pattern in needing if pattern != made.before["pattern"]]
    if strange:
        raise BundleError(
            f"{text} is used by a route that was not made here: {', '.join(strange)}. Delete that"
            " route first, or lead it to another Worker"
        )
    return undoing.delete(made, text, f"{path}/{made.name}")

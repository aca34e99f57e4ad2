"""DNS records: put in place, proxied, taken away, and what stood there before.

Source: API reference of zones/dns_records. A batch is one transaction, in the order deletes,
patches, puts, posts. How it reaches Cloudflare's name servers is not: for some seconds a few of them
may know the old records, or none.
"""

from __future__ import annotations

from dataclasses import replace

from .. import ownership as marks
from .. import removal as undoing
from ..apply_run import Work
from ..desired import PLACEHOLDER, Json, Record, Zone
from ..removal import Undoing
from ..session import Client
from ..state import Kind, Made, State


def put_homeserver(work: Work) -> None:
    """Lead the homeserver's name into the tunnel."""
    body = {"type": "CNAME", "name": work.wanted.homeserver, "content": work.address}
    put(work, work.home, body, work.found.home_records, "the homeserver")


def put_placeholder(work: Work) -> None:
    """Give the server name a proxied record."""
    body = {"type": "AAAA", "name": work.wanted.server_name, "content": PLACEHOLDER}
    put(work, work.apex, body, work.found.apex_records, "leads to the Worker")


def remove_placeholder(work: Work) -> None:
    """Take the placeholder away, because the server name has a record of its own by now."""
    for record in marks.divide(work.found.apex_records, work.state)[0]:
        work.client.send("DELETE", f"/zones/{work.apex.id}/dns_records/{record.id}")
    work.forget(work.state.find(Kind.RECORD, work.wanted.server_name))


def put(work: Work, place: Zone, body: Json, found: tuple[Record, ...], purpose: str) -> None:
    """Create a proxied record, or put it in the place of those that are there."""
    body |= {"proxied": True, "ttl": 1, "comment": marks.comment(work.state, purpose)}
    ours, foreign = marks.divide(found, work.state)
    made = work.remember(plan(work.state, place, body, ours, foreign))
    path = f"/zones/{place.id}/dns_records"
    if foreign or any(record.type != body["type"] for record in ours):
        deletes = [{"id": record.id} for record in (*ours, *foreign)]
        batch = {"deletes": deletes, "posts": [body]}
        record = work.client.send("POST", f"{path}/batch", batch)["posts"][0]
    elif ours:
        record = work.client.send("PUT", f"{path}/{ours[0].id}", body)
    else:
        record = work.client.send("POST", path, body)
    work.remember(replace(made, id=record["id"]))


def plan(state: State, place: Zone, body: Json, ours: list[Record], foreign: list[Record]) -> Made:
    """Return the entry for a record that is about to be put in place.

    `after` begins with its content; what else may be found there, if this run is cut off, follows.
    """
    earlier = state.find(Kind.RECORD, body["name"]) if ours else None
    return Made(
        kind=Kind.RECORD,
        place=place.id,
        name=body["name"],
        id=ours[0].id if ours else "",
        before=[record.fields for record in foreign] or (earlier.before if earlier else None),
        after=[body["content"], *(record.content for record in ours)],
    )


def proxy(work: Work) -> None:
    """Let Cloudflare proxy the records that the server name has."""
    grey = [r for r in marks.divide(work.found.apex_records, work.state)[1] if r.proxiable]
    if not grey:  # a wildcard answers so far
        put_placeholder(work)
        return
    before = [{"id": record.id, "ttl": record.ttl} for record in grey]
    name = work.wanted.server_name
    work.remember(Made(kind=Kind.PROXY, place=work.apex.id, name=name, before=before))
    patches = [{"id": record.id, "proxied": True} for record in grey]
    work.client.send("POST", f"/zones/{work.apex.id}/dns_records/batch", {"patches": patches})


def examine(client: Client, made: Made, state: State) -> Undoing:
    """Return how a record is taken away, and what stood there before comes back."""
    path = f"/zones/{made.place}/dns_records"
    found = list(map(Record.parse, client.list(path, {"name.exact": made.name})))
    ours = [record for record in found if marks.is_ours(record, state)]
    unmarked = [record for record in found if record.id == made.id]
    if unmarked and not ours:
        return undoing.keep(made, str(unmarked[0]))
    if not ours:
        return undoing.gone(made, f"DNS record of {made.name}")
    if any(record.content not in made.after for record in ours):
        return undoing.keep(made, str(ours[0]))
    if not made.before:
        return undoing.delete(made, str(ours[0]), *(f"{path}/{record.id}" for record in ours))
    body = {"deletes": [{"id": record.id} for record in ours], "posts": made.before}
    shown = " and ".join(f"{b['type']} {b['name']} -> {b['content']}" for b in made.before)
    return undoing.restore(made, shown, ("POST", f"{path}/batch", body))


def examine_proxy(client: Client, made: Made, state: State) -> Undoing:
    """Return how records become DNS only again."""
    path = f"/zones/{made.place}/dns_records"
    found = {each["id"]: each for each in client.list(path, {"name.exact": made.name})}
    patches = [
        {"id": each["id"], "proxied": False, "ttl": each["ttl"]}
        for each in made.before
        if found.get(each["id"], {}).get("proxied")
    ]
    text = f"{made.name} to DNS only"
    if made.name != state.server_name:
        return undoing.keep(made, text)
    if not patches:
        return undoing.gone(made, text)
    return undoing.restore(made, text, ("POST", f"{path}/batch", {"patches": patches}))

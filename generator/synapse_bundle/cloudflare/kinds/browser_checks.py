"""Settings of a zone: changed after a yes, and put back if they still are what we made them."""

from __future__ import annotations

from .. import ownership as marks
from .. import permissions
from .. import removal as undoing
from ..apply_run import Work
from ..changes import Change
from ..desired import Json
from ..kinds import zone_settings as zone
from ..kinds.zone_settings import Reading
from ..removal import Undoing
from ..session import Client, CloudflareError
from ..state import Kind, Made, State


def correct(work: Work, change: Change) -> None:
    """Change one setting; where Cloudflare refuses, that is told and nothing else fails."""
    reading = change.reading
    if not reading:
        return
    # A ruleset that was made for the rule stays ours, whatever became of the rule.
    earlier = work.state.find(Kind.RULE, reading.name)
    made = Made(
        kind=reading.kind,
        place=reading.zone.id,
        name=reading.name,
        before=earlier.before if earlier else reading.before,
        after=reading.after,
    )
    work.remember(made)
    try:
        write = put_rule if reading.kind is Kind.RULE else put_switch
        write(work, reading)
    except CloudflareError as error:
        if not error.refused:
            raise
        if earlier:
            work.remember(earlier)
        else:
            work.forget(made)
        work.say(f"skip     {change.text}: {permissions.explain(error, reading.permission)}")
    else:
        work.say(f"{change.verb:<8} {change.text}")


def put_switch(work: Work, reading: Reading) -> None:
    """Write one setting of a zone."""
    switch = zone.SWITCHES[reading.fix]
    path = f"/zones/{reading.zone.id}/{switch.path}"
    work.client.send(switch.method, path, reading.after)


def put_rule(work: Work, reading: Reading) -> None:
    """Add the configuration rule behind those that are there, or bring it up to date."""
    path = f"/zones/{reading.zone.id}/rulesets"
    ruleset = zone.read_ruleset(work.client, reading.zone.id)
    ours = zone.find_rules(ruleset, marks.write_mark(work.state))
    if ruleset is None:
        body = {"name": "default", "kind": "zone", "phase": zone.PHASE, "rules": [reading.after]}
        work.client.send("POST", path, body)
    elif not ours:
        work.client.send("POST", f"{path}/{ruleset['id']}/rules", reading.after)
    else:
        first, *others = (f"{path}/{ruleset['id']}/rules/{rule['id']}" for rule in ours)
        work.client.send("PATCH", first, reading.after)
        for other in others:
            work.client.send("DELETE", other)


def skip(made: Made, error: CloudflareError) -> Undoing:
    """Return that a setting stays for now, because Cloudflare refuses; raises any other error."""
    if not error.refused:
        raise error
    name, place = made.name.split(" ")
    if made.kind is Kind.RULE:
        title, permission = "configuration rule", permissions.RULES
    else:
        title, permission = zone.SWITCHES[name].title, zone.SWITCHES[name].permission
    return undoing.skip(made, f"{title} of {place}: {permissions.explain(error, permission)}")


def examine(client: Client, made: Made, _: State) -> Undoing:
    """Return how a setting gets its former value, if it still has ours."""
    name, place = made.name.split(" ")
    switch = zone.SWITCHES[name]
    text = f"{switch.title} of {place}"
    if not set(made.before) <= set(switch.keys):
        return undoing.keep(made, text)
    try:
        now = zone.read_switch(client, made.place, name)
    except CloudflareError as error:
        return skip(made, error)
    if now != made.after:
        return undoing.keep(made, text)
    call = (switch.method, f"/zones/{made.place}/{switch.path}", made.before)
    return undoing.restore(made, f"{text}: {show(made.before)}", call)


def examine_rule(client: Client, made: Made, state: State) -> Undoing:
    """Return how a configuration rule is taken away, and the ruleset that was made for it."""
    text = f"configuration rule of {made.name.split(' ')[1]}"
    try:
        ruleset = zone.read_ruleset(client, made.place)
    except CloudflareError as error:
        return skip(made, error)
    if ruleset is None:
        return undoing.gone(made, text)
    ours = zone.find_rules(ruleset, marks.write_mark(state))
    path = f"/zones/{made.place}/rulesets/{ruleset['id']}"
    others = len(ruleset.get("rules") or []) > len(ours)
    if not made.before["ruleset"] and not others:
        return undoing.delete(made, text, path)
    rules = [f"{path}/rules/{rule['id']}" for rule in ours]
    return undoing.delete(made, text, *rules) if rules else undoing.gone(made, text)


def show(value: Json) -> str:
    """Return a setting's value for a sentence."""
    return ", ".join({True: "on", False: "off"}.get(v, str(v)) for v in value.values())

"""Wanted x found x state -> what would have to happen, in order. Reads and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from . import discovery
from . import ownership as marks
from .changes import Change, Condition, Part
from .desired import PLACEHOLDER, Wanted
from .found import Found
from .state import Kind, Made, State


def compare(wanted: Wanted, found: Found, state: State) -> list[Change]:
    """Return how every wanted thing stands, in the order in which to bring it about."""
    return [
        *find_stale(wanted, state),
        # First, because it is the one that Cloudflare may refuse: nothing leads anywhere yet.
        *compare_token(wanted, found, state),
        *compare_tunnel(wanted, found),
        *compare_homeserver(wanted, found, state),
        *discovery.compare_apex(wanted, found, state),
        *discovery.compare_worker(wanted, found, state),
        *compare_settings(found),
    ]


def find_stale(wanted: Wanted, state: State) -> Iterator[Change]:
    """Yield what an earlier homeserver's name left behind, in the order to take it back."""
    for made in state.in_order:
        if is_stale(wanted, made):
            yield Change(
                part=Part.STALE,
                condition=Condition.CHANGED,
                verb="remove",
                text=f"{made.kind} {made.name}, for which the settings have no use any more",
                made=made,
            )


def is_stale(wanted: Wanted, made: Made) -> bool:
    """Tell whether the settings have no use for a thing any more."""
    if made.kind in {Kind.ROUTE, Kind.WORKER, Kind.PROXY}:
        return not wanted.delegates
    if made.kind is not Kind.RECORD:
        return False
    if made.after[0] == PLACEHOLDER:
        return not wanted.delegates
    return made.name != wanted.homeserver


def compare_tunnel(wanted: Wanted, found: Found) -> Iterator[Change]:
    """Yield the tunnel, and its credential in the bundle."""
    tunnel = found.tunnel
    name = f"tunnel for {wanted.server_name}"
    if not tunnel:
        yield Change(part=Part.TUNNEL, condition=Condition.MISSING, verb="create", text=name)
    else:
        # Lists of tunnels are about to lose their connections.
        number = f", {tunnel.connections} connections" if tunnel.connections else ""
        health = f"{tunnel.status}{number}"
        yield Change(part=Part.TUNNEL, condition=Condition.PRESENT, text=f"{name} ({health})")
    if tunnel and found.local.tunnel == tunnel.id:
        yield Change(part=Part.CREDENTIAL, condition=Condition.PRESENT, text="secrets/tunnel.json")
    elif found.local.strange:
        yield Change(
            part=Part.CREDENTIAL,
            condition=Condition.FOREIGN,
            verb="replace",
            text=f"secrets/tunnel.json, which is of another tunnel ({found.local.tunnel})",
        )
    else:
        yield Change(
            part=Part.CREDENTIAL,
            condition=Condition.MISSING,
            verb="write" if not tunnel else "fetch",
            text="the tunnel's credential into secrets/tunnel.json",
        )


def compare_homeserver(wanted: Wanted, found: Found, state: State) -> Iterator[Change]:
    """Yield the CNAME that leads the homeserver's name into the tunnel."""
    text = f"CNAME {wanted.homeserver} -> the tunnel (proxied)"
    ours, foreign = marks.divide(found.home_records, state)
    right = found.tunnel and [r for r in ours if r.content == found.tunnel.address]
    if foreign:
        yield Change(
            part=Part.HOMESERVER,
            condition=Condition.FOREIGN,
            verb="replace",
            text=f"{marks.show_records(foreign, state)} by {text}; {describe_end(wanted, found)}",
        )
    elif not ours and found.around_home.wildcards:
        shown = marks.show_records(list(found.around_home.wildcards), state)
        yield Change(
            part=Part.HOMESERVER,
            condition=Condition.FOREIGN,
            verb="create",
            text=f"{text} where {shown} answers now; {describe_end(wanted, found)}",
        )
    elif not ours:
        yield Change(part=Part.HOMESERVER, condition=Condition.MISSING, verb="create", text=text)
    elif right and right == ours and ours[0].type == "CNAME" and ours[0].proxied:
        yield Change(part=Part.HOMESERVER, condition=Condition.PRESENT, text=text)
    else:
        text = f"{marks.show_records(ours, state)} to {text}"
        yield Change(part=Part.HOMESERVER, condition=Condition.CHANGED, verb="update", text=text)


def describe_end(wanted: Wanted, found: Found) -> str:
    """Return what ends when the homeserver's name leads into the tunnel."""
    what = "the domain's web site" if wanted.homeserver == found.access.home.name else "a web site"
    return f"{what}, or SSH or mail, is no longer reached under {wanted.homeserver}"


def compare_settings(found: Found) -> Iterator[Change]:
    """Yield the settings of the zones; what is not fine and not ours is merely offered."""
    for reading in found.settings:
        title = f"{reading.title} of {reading.zone.name}"
        if reading.after is None:
            condition, verb = Condition.PRESENT, ""
        elif reading.ours:
            condition, verb = Condition.CHANGED, "update"
        else:
            condition, verb = Condition.FOREIGN, "fix"
        yield Change(part=Part.SETTING, condition=condition, verb=verb, text=title, reading=reading)


def compare_token(wanted: Wanted, found: Found, state: State) -> Iterator[Change]:
    """Yield the helper's token for DNS, where one is wanted."""
    if not wanted.mints:
        return
    zone = found.access.home.name
    text = f"token for the helper: DNS of {zone} and nothing else, into secrets/dns_token"
    if found.local.token_serves:
        yield Change(part=Part.TOKEN, condition=Condition.PRESENT, text=text)
    elif found.tokens is None:
        yield Change(part=Part.TOKEN, condition=Condition.LEFT, text=text)
    else:
        known = [t for t in found.tokens if t.name == marks.name_token(state, zone)]
        condition = Condition.CHANGED if known else Condition.MISSING
        verb = "roll" if known and known[0].active else "create"
        yield Change(part=Part.TOKEN, condition=condition, verb=verb, text=text)

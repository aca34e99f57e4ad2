"""Which services Compose recreates for a changed compose.yaml."""

from __future__ import annotations

from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def list_restarts(before: bytes, after: bytes) -> list[str]:
    """Return the services that differ, and those that Compose restarts with one of them.

    A service that only runs as a command is none of them.
    """
    old, new = _read_services(before), _read_services(after)
    found = {name for name, service in new.items() if old.get(name) != service}
    # In the order of the file a dependency comes before what needs it.
    for name, service in new.items():
        needed = service.get("depends_on", {})
        # One without conditions is a list.
        restarting = needed if isinstance(needed, dict) else {}
        found |= {name for on, how in restarting.items() if on in found and how.get("restart")}
    return [name for name, service in new.items() if name in found and "profiles" not in service]


def _read_services(compose: bytes) -> dict[str, Any]:
    document = yaml.load(compose, Loader=_LOADER)  # noqa: S506
    return dict(document["services"])

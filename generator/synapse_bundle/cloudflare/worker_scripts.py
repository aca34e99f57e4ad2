"""Workers, their routes and their addresses at workers.dev, as the API has them.

Source: API reference of accounts/workers and zones/workers/routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .refusals import CloudflareError
from .session import Session

_NO_SUBDOMAIN: Final = 10007


@dataclass(frozen=True, kw_only=True)
class WorkerScript:
    """A Worker that exists; `public` is whether it has an address at workers.dev."""

    name: str
    etag: str
    public: bool


@dataclass(frozen=True, kw_only=True)
class WorkerRoute:
    """A Worker route; an empty script is a route that switches Workers off."""

    id: str
    pattern: str
    script: str

    @property
    def target(self) -> str:
        """Where it leads, as a person would write it."""
        return f"Worker {self.script}" if self.script else "no Worker"


def has_script(session: Session, account: str, name: str) -> bool:
    """Return whether an account has a Worker of a name."""
    scripts = session.get(f"/accounts/{account}/workers/scripts") or []
    return any(script["id"] == name for script in scripts)


def find_script(session: Session, account: str, name: str) -> WorkerScript | None:
    """Return the Worker of a name, and whether workers.dev shows it.

    An account without a workers.dev subdomain has no such switch either.
    """
    path = f"/accounts/{account}/workers/scripts"
    script = next((s for s in session.get(path) or [] if s["id"] == name), None)
    if not script:
        return None
    switches: dict[str, Any] = session.find(f"{path}/{name}/subdomain") or {}
    public = bool(switches.get("enabled") or switches.get("previews_enabled"))
    return WorkerScript(name=name, etag=script.get("etag") or "", public=public)


def has_subdomain(session: Session, account: str) -> bool:
    """Return whether an account has a workers.dev subdomain; True if that cannot be read."""
    try:
        found = session.get(f"/accounts/{account}/workers/subdomain") or {}
    except CloudflareError as error:
        if not error.refused:
            raise
        return not error.missing and _NO_SUBDOMAIN not in error.codes
    return bool(found.get("subdomain"))


def list_routes(session: Session, zone: str) -> tuple[WorkerRoute, ...]:
    """Return the Worker routes of a zone; a zone that was deleted has none."""
    return tuple(
        WorkerRoute(id=each["id"], pattern=each["pattern"], script=each.get("script") or "")
        for each in session.find(f"/zones/{zone}/workers/routes") or []
    )

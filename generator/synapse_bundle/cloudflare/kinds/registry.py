"""All kinds: the one place that a new kind is registered."""

from __future__ import annotations

from typing import Final

from ..state import CloudflareState, StateEntry
from .apex import ApexKind
from .browser_checks import BrowserChecksKind
from .dns import DnsKind
from .dns_token import DnsTokenKind
from .kind import Kind
from .route import RouteKind
from .tunnel import TunnelKind
from .worker import WorkerKind
from .zone_settings import ZoneSettingsKind

# In the order of an apply; a removal goes the other way. The token is first, because it is what
# Cloudflare may refuse: nothing leads anywhere yet.
KINDS: Final[tuple[Kind, ...]] = (
    DnsTokenKind(),
    TunnelKind(),
    DnsKind(),
    ApexKind(),
    WorkerKind(),
    RouteKind(),
    ZoneSettingsKind(),
    BrowserChecksKind(),
)
REPLACEABLE: Final = tuple(name for kind in KINDS for name in kind.replaceable)
LEAVABLE: Final = tuple(name for kind in KINDS for name in kind.leavable)
FIXES: Final = tuple(name for kind in KINDS for name in kind.fixes)
_BY_TYPE: Final = {type_: kind for kind in reversed(KINDS) for type_ in kind.types}


def get_kind(entry: StateEntry) -> Kind:
    """Return the kind of an entry; raises LookupError if there is none."""
    return _BY_TYPE[entry.type]


def require_entry(entry: StateEntry) -> None:
    """Raise ValueError or LookupError for an entry that no apply has written."""
    get_kind(entry).require_entry(entry)


def sort_for_removal(state: CloudflareState) -> list[StateEntry]:
    """Return the entries of a state in the order in which they can be removed."""
    order = list(_BY_TYPE)
    return sorted(state.entries, key=lambda entry: order.index(entry.type))

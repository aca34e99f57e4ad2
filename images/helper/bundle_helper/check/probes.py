"""All probes, in the order of the hops, from the database out to the front door and beyond."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ..synapse import prove_database
from ..updates.update_rows import probe_list, probe_versions
from . import outside
from .administrator import probe_admin
from .backups import probe_backup, probe_drill
from .client_address import probe_address
from .database_proof import probe_proof
from .discovery_documents import probe_client, probe_server, probe_support
from .disk_and_heartbeat import probe_watch
from .encoded_paths import probe_paths
from .image_ages import probe_ages
from .name_claim import is_claimed, probe_claim, probe_token
from .processes import probe_processes, probe_streams
from .refusals import probe_closed, probe_limit
from .runner import Probe
from .served_certificate import probe_chain, probe_current, probe_issuer
from .signing_key import probe_signing

if TYPE_CHECKING:
    from ..federation.network import Network
    from ..settings.service_settings import ServiceSettings

PROBES: Final[tuple[Probe, ...]] = (
    Probe("database role, locale and owner", probe_proof),
    Probe("Synapse reaches its database", prove_database),
    Probe("first administrator exists", probe_admin),
    Probe("certificate: name, chain, days", probe_chain),
    Probe("certificate served is the live one", probe_current),
    Probe("certificate is the issuer's own", probe_issuer),
    Probe("encoded paths arrive intact", probe_paths),
    Probe("forged client address ignored", probe_address),
    Probe("admin API closed through Apache", probe_closed),
    Probe("oversized upload refused", probe_limit),
    Probe("well-known client", probe_client),
    Probe("well-known server", probe_server),
    Probe("well-known support", probe_support),
    Probe("signing key served", probe_signing),
    Probe("age of the images", probe_ages),
    Probe("room on the disk, heartbeat", probe_watch),
)

# Of a bundle with a list of releases.
RELEASE_PROBES: Final[tuple[Probe, ...]] = (
    Probe("list of releases", probe_list),
    Probe("security releases", probe_versions),
)

# Of a bundle with workers.
PROCESS_PROBES: Final[tuple[Probe, ...]] = (
    Probe("each of Synapse's workers answers", probe_processes),
    Probe("workers keep up with the main process", probe_streams),
)


def list_probes(settings: ServiceSettings, *, inside: bool) -> tuple[Probe, ...]:
    """Return the probes of a bundle, without those that go through the public names.

    `inside` leaves out what asks anybody in the internet.
    """
    workers = PROCESS_PROBES if settings.workers else ()
    told = RELEASE_PROBES if settings.releases else ()
    chosen = claim_probes(settings, inside=inside) + backup_probes(settings)
    return PROBES + told + workers + chosen


def claim_probes(settings: ServiceSettings, *, inside: bool) -> tuple[Probe, ...]:
    """Return the probes of the claim to the name, where a bundle has one."""
    if not is_claimed(settings):
        return ()
    through_internet = () if inside else (Probe("DNS token can write the claim", probe_token),)
    return (Probe("claim to the name", probe_claim), *through_internet)


def backup_probes(settings: ServiceSettings) -> tuple[Probe, ...]:
    """Return the probes of the schedule of backups, where there is one."""
    if settings.backup_at is None:
        return ()
    drill = () if settings.backup_drill is None else (Probe("drill", probe_drill),)
    return (Probe("backup", probe_backup), *drill)


def outside_probes(network: Network) -> tuple[Probe, ...]:
    """Return the probes that go out into the internet and come back in by the tunnel."""
    return tuple(
        Probe(name, partial(probe, network=network))
        for name, probe in (
            ("public name leads here", outside.probe_name),
            ("public well-known client", outside.probe_client),
            ("public well-known server", outside.probe_server),
        )
    )

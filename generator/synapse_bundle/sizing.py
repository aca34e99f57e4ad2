"""How the `memory` setting is shared out: container limits, and what fits into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024**2


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """Container limits and tuning, all in MiB.

    The limits are ceilings, not reservations. The PostgreSQL values follow docs/postgres.md of
    Synapse; the cache values follow its `caches.cache_autotuning`, which starts to evict at
    `cache_ceiling` until `cache_target` is reached, well below the container's limit.
    """

    postgres: int
    bootstrap: int
    synapse: int
    helper: int
    backup: int
    apache: int
    cloudflared: int
    shared_buffers: int
    effective_cache_size: int
    maintenance_work_mem: int
    shared_memory: int
    cache_ceiling: int
    cache_target: int


def share_out(memory: int) -> Sizing:
    """Divide `memory` (bytes) among the services."""
    total = memory // MIB
    synapse = total * 55 // 100
    maintenance_work_mem = min(256, total // 32)
    return Sizing(
        postgres=total // 4,
        bootstrap=128,
        synapse=synapse,
        # certbot and Cloudflare's library run beside the service while a certificate is asked for.
        helper=384,
        # restic and pg_dump need 240, whatever the size; the rest is for a drill's PostgreSQL.
        backup=512,
        apache=max(512, total // 5),
        cloudflared=128,
        shared_buffers=total // 16,
        effective_cache_size=total // 4,
        maintenance_work_mem=maintenance_work_mem,
        # The workers of one VACUUM share that much in /dev/shm, those of a query a few MiB each.
        shared_memory=maintenance_work_mem + 64,
        cache_ceiling=synapse * 50 // 100,
        cache_target=synapse * 35 // 100,
    )


@dataclass(frozen=True, kw_only=True)
class Storage:
    """What a cluster is asked for, as Kubernetes writes amounts; in Compose a volume has no size."""

    postgres: str
    media: str
    uploads: str
    backup: str
    small: str


STORAGE: Final = Storage(postgres="10Gi", media="20Gi", uploads="2Gi", backup="5Gi", small="64Mi")

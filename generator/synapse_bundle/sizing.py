"""How the `memory` setting is shared out: container limits, and what fits into them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024**2


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """Container limits and tuning, all in MiB.

    The limits are ceilings, not reservations. The PostgreSQL values follow docs/postgres.md of
    Synapse; the cache values follow its `caches.cache_autotuning`, which starts to evict at
    `cache_ceiling` until `cache_target` is reached, well below the container's limit. `synapse`
    and the two are of each of its processes.
    """

    postgres: int
    bootstrap: int
    synapse: int
    helper: int
    backup: int
    apache: int
    cloudflared: int
    valkey: int
    shared_buffers: int
    effective_cache_size: int
    maintenance_work_mem: int
    shared_memory: int
    cache_ceiling: int
    cache_target: int


def require_memory(processes: int) -> int:
    """Return the least `memory` (bytes, whole GiB) for so many processes of Synapse.

    One needs 100 MiB at rest, and evicts its caches from half of its part on.
    """
    gib = 1024 * MIB
    return next(n * gib for n in itertools.count(1) if share_out(n * gib, processes).synapse >= 350)


def share_out(memory: int, processes: int = 1) -> Sizing:
    """Divide `memory` (bytes) among the services; Synapse's part among its `processes`."""
    total = memory // MIB
    synapse = total * 55 // 100 // processes
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
        # It may hold 64 MiB of its own, and buffers of its clients.
        valkey=128,
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

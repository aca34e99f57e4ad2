"""The services: the one home of every port, path, uid and name inside the bundle.

What a Dockerfile or a shell script has to spell itself, tests/bundle/test_topology.py compares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Service:
    """One container: the name others reach it by, the user it runs as, the port it serves."""

    host: str
    uid: int
    port: int


@dataclass(frozen=True, kw_only=True)
class Postgres(Service):
    """PostgreSQL; the paths follow the versioned layout of the official image.

    `declared_volume` is the one that the image declares; up to 17 the bundle does not use it. `patience`
    is how many seconds a start with crash recovery may take before it counts as failed.
    """

    major: int
    superuser: str
    role: str
    database: str
    home: str
    data: str
    declared_volume: str
    sockets: str
    scripts: str
    patience: int

    def of_version(self, major: int) -> Postgres:
        """Return what it is in another major version; the image of 18 was the first to declare `home`."""
        home = self.home if major >= 18 else f"{self.home}/data"
        return replace(self, major=major, data=f"{self.home}/{major}/docker", declared_volume=home)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """The helper's image as root, once at every start; below `volumes` are those it gives away."""

    host: str
    volumes: str


@dataclass(frozen=True, kw_only=True)
class Synapse(Service):
    """The homeserver; it spools uploads in `uploads`; its workers reach it at `replication_port`."""

    configuration: str
    data: str
    uploads: str
    replication_port: int


@dataclass(frozen=True, kw_only=True)
class Valkey(Service):
    """The bus between Synapse's processes; `data` is a volume of the image that it does not use."""

    data: str


@dataclass(frozen=True, kw_only=True)
class Helper(Service):
    """The Python helper; it serves no port (0).

    `lineages` is where certbot keeps its account and certificates, `files` where the operator's
    own are mounted. `claim` is where it remembers its claim to the server's name, and releases the
    tunnel's credential as `released`; `releases` is where it remembers the list of releases.
    """

    state: str
    report: str
    lineages: str
    files: str
    claim: str
    released: str
    releases: str


@dataclass(frozen=True, kw_only=True)
class Backup(Service):
    """Backup and restore: started as root (0), it serves no port (0).

    `bundle` is the whole folder, `state` restic's cache and scratch space, `runtime` a tmpfs, `repository`
    a folder of backups; `report`, and `drill_file` of a drill's restore, are in the volume `report`.
    """

    bundle: str
    media: str
    state: str
    runtime: str
    report: str
    repository: str
    drill_file: str


@dataclass(frozen=True, kw_only=True)
class Import:
    """Where the containers of an import have the other server's folder, its dump, and a copy of its SQLite."""

    source: str
    dump: str
    copy: str


@dataclass(frozen=True, kw_only=True)
class Apache(Service):
    """The reverse proxy; `health_port` answers inside the container only.

    `scripts` and `packages_date`, an empty file as old as the packages, are part of its image. The
    helper makes `stood_down` when another copy serves, and `instance` with the hash of the data's id.
    """

    health_port: int
    configuration: str
    certificates: str
    runtime: str
    scripts: str
    packages_date: str
    stood_down: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class Cloudflared(Service):
    """The tunnel; `port` is its metrics port, on the loopback of its own container.

    `shell_directory` is one of the helper's image, shared by a volume: its own image has no shell.
    """

    configuration: str
    shell_directory: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """What every health check mounts: its script, and a tmpfs for its `state`."""

    scripts: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What there is on Kubernetes alone; `patience` is how many seconds the edge waits for Synapse.

    `database` is a CloudNativePG cluster's name, `database_root` where the root of its certificate is,
    `instance` where the id is that the first start writes, `folder` the file of what the folder knows.
    """

    access: str
    instance: str
    folder: str
    published: str
    patience: int
    database: str
    database_root: str


SECRETS: Final = "/run/secrets"
HEALTH: Final = Health(scripts="/srv/health", state="/run/health")
POSTGRES: Final = Postgres(
    host="postgres",
    uid=999,
    port=5432,
    superuser="postgres",
    role="synapse_user",
    database="synapse",
    home="/var/lib/postgresql",
    major=18,
    data="/var/lib/postgresql/18/docker",
    declared_volume="/var/lib/postgresql",
    sockets="/run/postgresql",
    scripts="/srv/postgres",
    patience=600,
)
BOOTSTRAP: Final = Bootstrap(host="bootstrap", volumes="/volumes")
SYNAPSE: Final = Synapse(
    host="synapse",
    uid=991,
    port=8008,
    configuration="/etc/synapse",
    data="/data",
    uploads="/tmp",  # noqa: S108  # a volume
    replication_port=9093,
)
VALKEY: Final = Valkey(host="valkey", uid=999, port=6379, data="/data")
HELPER: Final = Helper(
    host="helper",
    uid=993,
    port=0,
    state="/run/helper",
    report="/report",
    lineages="/etc/letsencrypt",
    files="/files",
    claim="/claim",
    released="/claim/tunnel.json",
    releases="/releases",
)
BACKUP: Final = Backup(
    host="backup",
    uid=0,
    port=0,
    bundle="/bundle",
    media="/media",
    state="/state",
    runtime="/run/backup",
    report=f"{HELPER.report}/backup",
    repository="/repository",
    drill_file=f"{HELPER.report}/drill.json",
)
IMPORT: Final = Import(source="/source", dump="/dump", copy=f"{BACKUP.state}/import/homeserver.db")
APACHE: Final = Apache(
    host="apache",
    uid=33,
    port=443,
    health_port=8081,
    configuration="/etc/homeserver",
    certificates="/certificates",
    runtime="/run/apache2",
    scripts="/usr/local/lib/homeserver",
    packages_date="/etc/packages-date",
    stood_down="/certificates/stood-down",
    instance="/certificates/instance",
)
CLOUDFLARED: Final = Cloudflared(
    host="cloudflared",
    uid=65532,
    port=20241,
    configuration="/etc/cloudflared",
    shell_directory="/srv/shell",
)
CLUSTER: Final = Cluster(
    access="/run/cluster",
    instance="/srv/instance",
    folder="/run/folder/instance",
    published="published",
    patience=120,
    database="database",
    database_root="/run/database/ca.crt",
)

"""The settings: every key of settings.yaml, its meaning, default and limits."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic import ValidationInfo as Info

from ..networks import ProcessNetworks, derive_tunnel_subnet, place_process_networks
from ..processes import PRESETS, Process, place_processes
from ..sizing import MIB, require_memory
from .backup import BackupPolicy
from .block import Block
from .certificates import OWN, STAGING, IssuerChoice, IssuerSettings
from .database import ExternalDatabase
from .kubernetes import KubernetesSettings
from .names import TRIAL, FileName, Host, Localpart, Project
from .tunnel_settings import TunnelChoice, TunnelSettings
from .updates import UpdateSettings
from .well_known import Email, SupportSettings, WorkerSettings

UNITS: Final = {"M": MIB, "G": 1024 * MIB}
# Matrix specification, appendices, "User Identifiers"; the helper has the same limit.
_LONGEST_USER_ID: Final = 255
# Far more than this product is for, and less than the most that PostgreSQL takes for buffers.
_MEMORY_LIMIT: Final = 1024 * UNITS["G"]
_WITHOUT_BACKUP: Final = (
    "{}: the bundle may neither back up nor restore a database that it does not run."
    " Remove backup, and have that database backed up where it runs"
)
# Synapse's database holds a size as a signed 32-bit number; the helper has the same limit.
_UPLOAD_LIMIT: Final = 2**31 - 1
# Cloudflare refuses bodies above 100 MB on its free plan; 95 MiB is the last whole step below.
_TUNNEL_UPLOAD_LIMIT: Final = 95 * MIB


def _parse_size(value: Any) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([MG])", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("is not a size; use for example 2G")
    return int(match[1]) * UNITS[match[2]]


Size = Annotated[int, BeforeValidator(_parse_size)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _default_homeserver(data: dict[str, Any]) -> str:
    server_name = str(data.get("server_name", TRIAL))
    return TRIAL if server_name == TRIAL else f"matrix.{server_name}"


class PortSettings(Block):
    """Ports published on 127.0.0.1 of the host; nothing is published elsewhere."""

    https: Port = 8443
    synapse: Port = 8008

    @field_validator("synapse")
    @classmethod
    def _check_distinct(cls, synapse: int, info: Info) -> int:
        if synapse == info.data.get("https"):
            raise ValueError("is the same port as ports.https")
        return synapse


class Settings(Block):
    """What the operator chooses. With no settings at all it is the trial on localhost."""

    server_name: Host = TRIAL
    homeserver: Host = Field(default_factory=_default_homeserver)
    email: Email | None = Field(default=None, validate_default=True)
    admin: Localpart = "admin"
    certificates: IssuerChoice = Field(default=IssuerSettings(), validate_default=True)
    tunnel: TunnelChoice = None
    heartbeat: FileName | None = None
    database: ExternalDatabase | None = None
    backup: BackupPolicy = BackupPolicy()
    updates: UpdateSettings = UpdateSettings()
    memory: Size = 2 * UNITS["G"]
    workers: Literal["none", "federation", "small", "spread"] = "none"
    max_upload_size: Size = 90 * MIB
    ports: PortSettings = PortSettings()
    support: SupportSettings | None = None
    worker: WorkerSettings = WorkerSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    project: Project = "homeserver"

    @field_validator("admin")
    @classmethod
    def _check_user_id(cls, admin: str, info: Info) -> str:
        length = len(f"@{admin}:{info.data.get('server_name', TRIAL)}")
        if length > _LONGEST_USER_ID:
            raise ValueError(
                f"makes a user ID of {length} characters; Matrix allows {_LONGEST_USER_ID}"
            )
        return admin

    @field_validator("homeserver")
    @classmethod
    def _check_same_shape(cls, homeserver: str, info: Info) -> str:
        server_name = info.data.get("server_name", homeserver)
        if (homeserver == TRIAL) != (server_name == TRIAL):
            raise ValueError(f"does not go with server_name {server_name!r}; remove it")
        return homeserver

    @field_validator("email")
    @classmethod
    def _require_email(cls, email: str | None, info: Info) -> str | None:
        if email is None and info.data.get("server_name", TRIAL) != TRIAL:
            raise ValueError(
                "is required with a real server_name; certificate authorities ask for it"
            )
        return email

    @field_validator("certificates")
    @classmethod
    def _resolve_issuer(cls, certificates: IssuerSettings, info: Info) -> IssuerSettings:
        return certificates.resolve(trial=info.data.get("server_name", TRIAL) == TRIAL)

    @field_validator("tunnel")
    @classmethod
    def _check_tunnel(cls, tunnel: TunnelSettings | None, info: Info) -> TunnelSettings | None:
        if tunnel and info.data.get("server_name") == TRIAL:
            raise ValueError("needs a real server_name; the trial on localhost has no tunnel")
        chosen = info.data.get("certificates")
        if tunnel and chosen and chosen.issuer == STAGING and not chosen.root:
            raise ValueError("needs the staging roots with letsencrypt-staging: certificates.root")
        return tunnel

    @field_validator("backup")
    @classmethod
    def _check_backup(cls, backup: BackupPolicy, info: Info) -> BackupPolicy:
        if info.data.get("database"):
            raise ValueError(_WITHOUT_BACKUP.format("does not go with database"))
        return backup

    @field_validator("kubernetes")
    @classmethod
    def _check_operator(cls, kubernetes: KubernetesSettings, info: Info) -> KubernetesSettings:
        if kubernetes.database and info.data.get("database"):
            raise ValueError("has a database of its own; remove database or kubernetes.database")
        if kubernetes.database and info.data.get("backup", BackupPolicy()) != BackupPolicy():
            raise ValueError(_WITHOUT_BACKUP.format("database does not go with backup"))
        return kubernetes

    @field_validator("worker")
    @classmethod
    def _check_worker(cls, worker: WorkerSettings, info: Info) -> WorkerSettings:
        if info.data.get("server_name") == TRIAL:
            raise ValueError("needs a real server_name; the trial on localhost has no Worker")
        return worker

    @field_validator("memory")
    @classmethod
    def _check_memory(cls, memory: int) -> int:
        if memory < UNITS["G"]:
            raise ValueError("is less than 1G, which Synapse and PostgreSQL need together")
        if memory > _MEMORY_LIMIT:
            raise ValueError("is more than 1024G, the most that can be shared out")
        return memory

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, workers: str, info: Info) -> str:
        processes = 1 + len(PRESETS[workers])
        least = require_memory(processes)
        if processes > 1 and info.data.get("memory", least) < least:
            raise ValueError(
                f"makes {processes} processes of Synapse, which need memory: {least // UNITS['G']}G"
                " or more"
            )
        return workers

    @field_validator("max_upload_size")
    @classmethod
    def _check_upload_size(cls, size: int, info: Info) -> int:
        if info.data.get("tunnel") and size > _TUNNEL_UPLOAD_LIMIT:
            raise ValueError("is more than 95M, the most that passes a Cloudflare Tunnel")
        if size > _UPLOAD_LIMIT:
            raise ValueError("is more than 2047M, the largest file that Synapse can keep")
        return size

    @property
    def trial(self) -> bool:
        """Whether this is the trial on localhost, which needs no domain."""
        return self.server_name == TRIAL

    @property
    def has_external_database(self) -> bool:
        """Whether Synapse's database is not the bundle's own, but somebody else's or an operator's."""
        return bool(self.database or self.kubernetes.database)

    @property
    def base_url(self) -> str:
        """The homeserver's address for clients (`m.homeserver.base_url`)."""
        return f"https://{TRIAL}:{self.ports.https}" if self.trial else f"https://{self.homeserver}"

    @property
    def federation_address(self) -> str:
        """The homeserver's address for other servers (`m.server`), always with its port."""
        return f"{self.homeserver}:{self.ports.https if self.trial else 443}"

    @property
    def authority_names(self) -> tuple[str, ...]:
        """The names that the bundle's own authority may certify, whichever issuer is in use."""
        names = (self.homeserver, self.server_name)
        return (*dict.fromkeys(names), "127.0.0.1") if self.trial else tuple(dict.fromkeys(names))

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """The names Apache's certificate must cover.

        Others certify the homeserver alone: the server name may lie in a zone that the DNS token
        is not for, and `m.server` needs no certificate for it.
        """
        return self.authority_names if self.certificates.issuer == OWN else (self.homeserver,)

    @property
    def namespace(self) -> str:
        """The project as a namespace of Kubernetes, where no name may hold an underscore (RFC 1123)."""
        return self.project.replace("_", "-").strip("-")

    @property
    def tunnel_subnet(self) -> IPv4Network:
        """The network of cloudflared and Apache: the operator's choice, else the project's own."""
        chosen = self.tunnel.subnet if self.tunnel else None
        return chosen or derive_tunnel_subnet(self.project)

    @property
    def process_networks(self) -> ProcessNetworks:
        """The networks of Synapse's workers."""
        return place_process_networks(self.project, self.tunnel_subnet)

    @property
    def processes(self) -> tuple[Process, ...]:
        """Synapse's workers."""
        return place_processes(self.workers, self.process_networks)

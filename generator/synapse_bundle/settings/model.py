"""The vocabulary of the product: every key of settings.yaml, its meaning, default and limits."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, ip_address
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic import ValidationInfo as Info

from ..sizing import MIB
from ..topology import derive_tunnel_subnet
from .block import Section
from .certificates import OWN, STAGING, Certificates, Choice, Path
from .tunnel import Tunnel, TunnelChoice
from .well_known import Email, Support, Worker

TRIAL: Final = "localhost"
UNITS: Final = {"M": MIB, "G": 1024 * MIB}
# Matrix specification, appendices, "User Identifiers"; the helper has the same limit.
LONGEST_USER_ID: Final = 255
# Far above any machine this is for, and below what PostgreSQL takes for its buffers.
MEMORY_LIMIT: Final = 1024 * UNITS["G"]
# Synapse's database holds a size as a signed 32-bit number; the helper has the same limit.
UPLOAD_LIMIT: Final = 2**31 - 1
# Cloudflare refuses bodies above 100 MB on its free plan; 95 MiB is the last whole step below.
TUNNEL_UPLOAD_LIMIT: Final = 95 * MIB
LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def _check_host(text: str) -> str:
    if text == TRIAL:
        return text
    for refused, reason in _host_faults(text):
        if refused:
            raise ValueError(reason)
    return text


def _host_faults(text: str) -> list[tuple[bool, str]]:
    labels = text.split(".")
    return [
        (not text, "is empty; write a domain such as example.org"),
        (_is_address(text), "is an IP address; a Matrix server needs a domain"),
        ("://" in text, "carries a scheme; write the bare domain, such as example.org"),
        (":" in text, "carries a port; write the bare domain, such as example.org"),
        ("/" in text, "carries a path; write the bare domain, such as example.org"),
        (not text.isascii(), f"is not ASCII; write it as {_to_punycode(text)!r}"),
        (text.endswith("."), "ends in a dot; leave the dot off"),
        (len(text) > 230, "is longer than 230 characters"),
        (
            labels[-1].isdigit(),
            "ends in a number, as no domain does; write one such as example.org",
        ),
        (len(labels) < 2, "has no dot; write a whole domain such as example.org"),
        (
            text != text.lower() and all(LABEL.fullmatch(label.lower()) for label in labels),
            f"has capitals; write it as {text.lower()!r}",
        ),
        (
            not all(LABEL.fullmatch(label) for label in labels),
            "is no domain: letters, digits and hyphens only, in parts of 1 to 63 joined by dots",
        ),
    ]


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _to_punycode(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return "its xn-- form"


def _check_localpart(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.=/+-][a-z0-9._=/+-]*", text):
        msg = "is no user name: small letters, digits and . _ = / + - only, not starting with _"
        raise ValueError(msg)
    if text.isdigit():
        raise ValueError("is a number, which Synapse keeps for guests; add a letter")
    if text == "synapse-bundle-check":
        raise ValueError("is the name of the bundle's own probe; choose another")
    return text


def _check_project(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", text):
        raise ValueError("is no Compose project name: small letters, digits, _ and - only")
    return text


def _parse_size(value: Any) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([MG])", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("is no size; write one such as 90M or 2G")
    return int(match[1]) * UNITS[match[2]]


Host = Annotated[str, AfterValidator(_check_host)]
Localpart = Annotated[str, AfterValidator(_check_localpart)]
Size = Annotated[int, BeforeValidator(_parse_size)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _default_homeserver(data: dict[str, Any]) -> str:
    server_name = str(data.get("server_name", TRIAL))
    return TRIAL if server_name == TRIAL else f"matrix.{server_name}"


class Ports(Section):
    """Ports published on 127.0.0.1 of the host; nothing is published elsewhere."""

    https: Port = 8443
    synapse: Port = 8008

    @field_validator("synapse")
    @classmethod
    def _check_distinct(cls, synapse: int, info: Info) -> int:
        if synapse == info.data.get("https"):
            raise ValueError("is the same port as ports.https")
        return synapse


class Settings(Section):
    """What the operator chooses. With no settings at all it is the trial on localhost."""

    server_name: Host = TRIAL
    homeserver: Host = Field(default_factory=_default_homeserver)
    email: Email | None = Field(default=None, validate_default=True)
    admin: Localpart = "admin"
    certificates: Choice = Field(default=Certificates(), validate_default=True)
    tunnel: TunnelChoice = None
    heartbeat: Path | None = None
    memory: Size = 2 * UNITS["G"]
    max_upload_size: Size = 90 * MIB
    ports: Ports = Ports()
    support: Support | None = None
    worker: Worker = Worker()
    project: Annotated[str, AfterValidator(_check_project)] = "homeserver"

    @field_validator("admin")
    @classmethod
    def _check_user_id(cls, admin: str, info: Info) -> str:
        length = len(f"@{admin}:{info.data.get('server_name', TRIAL)}")
        if length > LONGEST_USER_ID:
            raise ValueError(
                f"makes a user ID of {length} characters; Matrix allows {LONGEST_USER_ID}"
            )
        return admin

    @field_validator("homeserver")
    @classmethod
    def _check_same_shape(cls, homeserver: str, info: Info) -> str:
        server_name = info.data.get("server_name", homeserver)
        if (homeserver == TRIAL) != (server_name == TRIAL):
            raise ValueError(f"does not go with server_name {server_name!r}; leave it out")
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
    def _resolve_issuer(cls, certificates: Certificates, info: Info) -> Certificates:
        return certificates.resolve(trial=info.data.get("server_name", TRIAL) == TRIAL)

    @field_validator("tunnel")
    @classmethod
    def _check_tunnel(cls, tunnel: Tunnel | None, info: Info) -> Tunnel | None:
        if tunnel and info.data.get("server_name") == TRIAL:
            raise ValueError("needs a real server_name; the trial on localhost has no tunnel")
        chosen = info.data.get("certificates")
        if tunnel and chosen and chosen.issuer == STAGING and not chosen.root:
            raise ValueError("needs the staging roots with letsencrypt-staging: certificates.root")
        return tunnel

    @field_validator("worker")
    @classmethod
    def _check_worker(cls, worker: Worker, info: Info) -> Worker:
        if info.data.get("server_name") == TRIAL:
            raise ValueError("needs a real server_name; the trial on localhost has no Worker")
        return worker

    @field_validator("memory")
    @classmethod
    def _check_memory(cls, memory: int) -> int:
        if memory < UNITS["G"]:
            raise ValueError("is less than 1G, which Synapse and PostgreSQL need together")
        if memory > MEMORY_LIMIT:
            raise ValueError("is more than 1024G, the most that can be shared out")
        return memory

    @field_validator("max_upload_size")
    @classmethod
    def _check_upload_size(cls, size: int, info: Info) -> int:
        if info.data.get("tunnel") and size > TUNNEL_UPLOAD_LIMIT:
            raise ValueError("is more than 95M, the most that passes a Cloudflare Tunnel")
        if size > UPLOAD_LIMIT:
            raise ValueError("is more than 2047M, the largest file that Synapse can keep")
        return size

    @property
    def trial(self) -> bool:
        """Whether this is the trial on localhost, which needs no domain."""
        return self.server_name == TRIAL

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
        """The names that the bundle's own authority may certify, whoever issues at present."""
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
    def tunnel_subnet(self) -> IPv4Network:
        """The network of cloudflared and Apache: the operator's choice, else the project's own."""
        chosen = self.tunnel.subnet if self.tunnel else None
        return chosen or derive_tunnel_subnet(self.project)

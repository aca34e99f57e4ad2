"""The Compose model as `docker compose config` prints it, and as Bridge hands it over: what matters here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_AMOUNT: Final = re.compile(r"(\d+)([kmg]?)b?")
_FACTORS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_INPUTS: Final = "synapse-bundle.inputs"
_CONTEXT: Final = "/images/apache"


class ConversionError(Exception):
    """The bundle cannot become manifests; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One mount; `kind` is bind, volume or tmpfs, `source` of a bind in the bundle relative to it.

    `size` is in bytes, of a tmpfs alone.
    """

    kind: str
    source: str
    target: str
    read_only: bool = False
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A health check; times are whole seconds, `start` how long a start may take."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start: int


@dataclass(frozen=True, kw_only=True)
class ComposeService:
    """One service of the model; `memory` is in bytes, `grace` in seconds."""

    name: str
    image: str
    built: bool
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    uid: int
    gid: int
    groups: tuple[int, ...]
    mounts: tuple[Mount, ...]
    networks: tuple[str, ...]
    memory: int
    health: HealthCheck | None
    grace: int
    inputs: str
    hostname: str = ""


@dataclass(frozen=True, kw_only=True)
class ComposeModel:
    """The services, and the networks with whether they have no way out."""

    services: Mapping[str, ComposeService]
    networks: Mapping[str, bool]


def read_model(document: Mapping[str, Any]) -> ComposeModel:
    """Return a model; raises ConversionError for one that is not of a bundle."""
    try:
        root = document["services"]["apache"]["build"]["context"].removesuffix(_CONTEXT)
        services = {
            name: _read_service(name, each, root)
            for name, each in sorted(document["services"].items())
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConversionError(f"this is not the Compose model of a bundle: {error!r}") from error
    networks = {
        name: bool((each or {}).get("internal")) for name, each in document["networks"].items()
    }
    return ComposeModel(services=services, networks=dict(sorted(networks.items())))


def _read_service(name: str, service: Mapping[str, Any], root: str) -> ComposeService:
    uid, _, gid = str(service["user"]).partition(":")
    return ComposeService(
        name=name,
        image=service["image"],
        built=service["image"].startswith("synapse-bundle/"),
        entrypoint=tuple(service.get("entrypoint") or ()),
        command=tuple(service.get("command") or ()),
        environment={key: str(value) for key, value in (service.get("environment") or {}).items()},
        uid=int(uid),
        gid=int(gid or uid),
        groups=tuple(int(group) for group in service.get("group_add") or ()),
        mounts=tuple(_read_mounts(service, root)),
        networks=tuple(sorted(service.get("networks") or {})),
        memory=read_amount(service["mem_limit"]),
        health=_read_health(service.get("healthcheck")),
        grace=read_duration(service.get("stop_grace_period") or "10s"),
        inputs=service["labels"][_INPUTS],
        hostname=service.get("hostname") or "",
    )


def _read_mounts(service: Mapping[str, Any], root: str) -> list[Mount]:
    mounts = [
        Mount(
            kind=each["type"],
            source=_relate(each["source"], root) if each["type"] == "bind" else each["source"],
            target=each["target"],
            read_only=bool(each.get("read_only")),
        )
        for each in service.get("volumes") or ()
    ]
    for text in service.get("tmpfs") or ():
        target, _, options = text.partition(":")
        size = re.search(r"size=(\w+)", options)
        mounts.append(_place_memory(target, size[1] if size else "1m"))
    if service.get("shm_size"):
        mounts.append(_place_memory("/dev/shm", service["shm_size"]))  # noqa: S108  # its only place
    return mounts


def _place_memory(target: str, size: str | int) -> Mount:
    return Mount(kind="tmpfs", source="", target=target, size=read_amount(size))


def _relate(source: str, root: str) -> str:
    """Return a path in the bundle as `./path`, and `.` for the whole; another as it is."""
    path = PurePosixPath(source)
    if not path.is_relative_to(root):
        return source
    inside = path.relative_to(root)
    return str(inside) if str(inside) == "." else f"./{inside}"


def _read_health(check: Mapping[str, Any] | None) -> HealthCheck | None:
    if not check or check.get("disable"):
        return None
    return HealthCheck(
        command=tuple(check["test"][1:]),
        interval=read_duration(check["interval"]),
        timeout=read_duration(check["timeout"]),
        retries=int(check["retries"]),
        start=read_duration(check["start_period"]),
    )


def read_duration(text: str) -> int:
    """Return a duration of Compose, such as 1m30s, in whole seconds, at least 1."""
    parts = _PARTS.findall(text)
    return max(1, math.ceil(sum(float(number) * _SECONDS[unit] for number, unit in parts)))


def read_amount(text: str | int) -> int:
    """Return an amount of Compose, such as 512m, in bytes; raises ValueError for another text."""
    match = _AMOUNT.fullmatch(str(text).lower())
    if not match:
        raise ValueError(f"{text!r} is not an amount of memory")
    return int(match[1]) * _FACTORS[match[2]]

"""Settings and credentials -> every file of the bundle. Reads templates and images, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from . import __version__, assets, images, sizing, topology
from .credentials.collection import Credentials
from .credentials.file_names import (
    ACCESS_KEYS,
    DIRECTORY,
    HEARTBEAT,
    INSTANCE,
    KNOWN_HOSTS,
    NOTIFICATION,
    PROVIDED,
    RELEASE_KEYS,
    RELEASE_LIST,
    ROOT,
    SSH_KEY,
)
from .database_place import place_database
from .mounted_inputs import AnyKey, digest, digest_inputs, find_sources
from .networks import place_in_tunnel_network
from .pools import form_pools
from .processes import Process
from .rendering import SUFFIX, Renderer
from .routes import read_table
from .settings.model import Settings
from .settings.names import name_drill
from .worker_deployment import place_worker

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COMPOSE: Final = PurePosixPath("compose.yaml")
# Below the context that has a stage for it; no other stage copies it.
_CONVERTER: Final = PurePosixPath("helper/kubernetes")
_WORKER: Final = PurePosixPath("worker/worker.js.j2")
# Rendered for each of Synapse's workers, under its name.
_PROCESS: Final = PurePosixPath("synapse/workers/process.yaml.j2")
IMAGES: Final = "images"
_OVERRIDE: Final = ".override.yaml"
_PLAIN: Final = 0o644
_EXECUTABLE: Final = 0o755
# Compose mounts secret files as they are, so the container's user must be able to read them; the
# directory (0700) is what keeps them from the host's other users.
_SECRET: Final = 0o444
# Bootstrap writes it without the capability to write what belongs to others.
_SHARED: Final = 0o666


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """One file of the bundle; a `kept` one is written once and is the operator's from then on.

    Unless it is `renewed`: then this run replaces it.
    """

    path: PurePosixPath
    content: bytes
    mode: int = _PLAIN
    kept: bool = False
    renewed: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every file of a bundle, compose.yaml last; `images` has the tags of those that keep data."""

    files: tuple[PlannedFile, ...]
    server_name: str
    project: str
    images: Mapping[str, str]


def plan(
    settings: Settings, credentials: Credentials, existing: Mapping[str, bytes], postgres: int = 0
) -> Plan:
    """Return the plan for a bundle.

    `existing` holds the operator's own files, by path: like every mounted file they decide which containers
    `docker compose up -d` recreates. `postgres` is its data's major version, 0 for the newest.
    """
    context = _build_context(settings, credentials, contexts := list(plan_images()), postgres)
    renderer = Renderer(assets.locate("compose"), context)
    files = [
        *_plan_secrets(credentials),
        *contexts,
        *_plan_tree(renderer, external=settings.has_external_database),
        *_plan_processes(renderer, settings.processes),
    ]
    # What the bootstrap writes into the folder is not a reason to recreate it.
    inputs = {str(f.path): f.content for f in files if f.path.name != INSTANCE}
    compose = _plan_compose(renderer, inputs | dict(existing))
    return Plan(
        files=(*files, compose),
        server_name=settings.server_name,
        project=settings.project,
        images={name: images.choose_pins(postgres)[name].tag for name in images.STATEFUL},
    )


def plan_worker(settings: Settings) -> bytes:
    """Return worker/worker.js as the bundle has it; empty for the trial, which has none.

    It is rendered without credentials, so none can get into what the world may read.
    """
    renderer = Renderer(assets.locate("compose"), _build_settings_context(settings))
    return renderer.render(_WORKER).encode()


def _build_context(
    settings: Settings, credentials: Credentials, contexts: list[PlannedFile], postgres: int
) -> dict[str, Any]:
    """Return everything that a template may use."""
    held, pins = credentials.values, images.choose_pins(postgres)
    return _build_settings_context(settings) | {
        "postgres": topology.POSTGRES.of_version(pins["postgres"].major),
        "credentials": credentials,
        "images": pins,
        "built": {name: tag_image(name, contexts) for name in ("apache", "helper")}
        | {"backup": tag_image("backup", contexts, "helper", pins["postgres"].reference)},
        "root": held.get(ROOT),
        "notification": NOTIFICATION in held,
        "heartbeat": HEARTBEAT in held,
        "provided": {"list": RELEASE_LIST, "keys": RELEASE_KEYS},
        "opens_backup": {
            name: f"{topology.BACKUP.bundle}/{DIRECTORY}/{name}" if name in held else "none"
            for name in (ACCESS_KEYS, SSH_KEY, KNOWN_HOSTS)
        },
    }


def _build_settings_context(settings: Settings) -> dict[str, Any]:
    """Return what a template may use that depends only on the settings."""
    processes = settings.processes
    return {
        "settings": settings,
        "database": place_database(settings),
        "processes": processes,
        "pools": form_pools(processes, read_table()) if processes else None,
        "base_url": settings.base_url,
        "federation_address": settings.federation_address,
        "sizing": sizing.share_out(settings.memory, 1 + len(processes)),
        "storage": sizing.STORAGE,
        "secrets": topology.SECRETS,
        # Also without a DNS token, when the gate opens at once: a new issuer leaves Apache alone.
        "claims": not settings.trial,
        "topology": {
            "health": topology.HEALTH,
            "postgres": topology.POSTGRES,
            "bootstrap": topology.BOOTSTRAP,
            "synapse": topology.SYNAPSE,
            "process_networks": settings.process_networks,
            "valkey": topology.VALKEY,
            "helper": topology.HELPER,
            "backup": topology.BACKUP,
            "apache": topology.APACHE,
            "cloudflared": topology.CLOUDFLARED,
            "cluster": topology.CLUSTER,
            "tunnel_network": place_in_tunnel_network(settings.tunnel_subnet),
            "worker": place_worker(settings.server_name),
        },
        "drill_project": name_drill(settings.project),
        "version": __version__,
    }


def _plan_secrets(credentials: Credentials) -> Iterable[PlannedFile]:
    """Yield the secrets; they are kept, except the provided ones, which follow the settings."""
    for name, value in sorted(credentials.values.items()):
        yield PlannedFile(
            path=PurePosixPath(DIRECTORY, name),
            content=f"{value}\n".encode(),
            mode=_SHARED if name == INSTANCE else _SECRET,
            kept=name not in PROVIDED,
            renewed=name in credentials.given - set(PROVIDED),
        )


def plan_images() -> Iterable[PlannedFile]:
    """Yield copies of the image contexts, so that the folder alone can build its images."""
    converter = ((_CONVERTER / path, source) for path, source in assets.walk(assets.CONVERTER))
    for path, source in (*assets.walk(assets.locate(IMAGES)), *converter):
        content = source.read_bytes()
        mode = _EXECUTABLE if content.startswith(b"#!") else _PLAIN
        yield PlannedFile(path=PurePosixPath(IMAGES) / path, content=content, mode=mode)


def _plan_tree(renderer: Renderer, *, external: bool) -> Iterable[PlannedFile]:
    """Yield the template tree without compose.yaml; a template that renders to nothing gives no file."""
    for path, source in assets.walk(assets.locate("compose")):
        target = path.with_name(path.name.removesuffix(SUFFIX))
        unused = external and path.parts[0] == topology.POSTGRES.host
        if target == COMPOSE or path == _PROCESS or unused:
            continue
        content = renderer.render(path).encode() if path.suffix == SUFFIX else source.read_bytes()
        content = content.replace(b"$", b"$$") if str(target) == "drill.yaml" else content
        if content.strip():
            yield PlannedFile(
                path=target,
                content=content,
                mode=_SECRET if target.parts[0] == DIRECTORY else _PLAIN,
                kept=target.name.endswith(_OVERRIDE),
            )


def _plan_processes(renderer: Renderer, processes: Iterable[Process]) -> Iterable[PlannedFile]:
    """Yield the configuration of each of Synapse's workers."""
    for process in processes:
        content = renderer.render(_PROCESS, process=process).encode()
        yield PlannedFile(path=_PROCESS.with_name(f"{process.name}.yaml"), content=content)


def _plan_compose(renderer: Renderer, contents: Mapping[str, bytes]) -> PlannedFile:
    """Return compose.yaml, rendered twice: first to see what each service mounts.

    Compose does not recreate a container whose mounted files changed (docker/compose#11900); a
    label with their digest makes it do so. Every `$` is doubled, because Compose would put a
    variable of the operator's environment in its place: a template writes what a container gets.
    """
    template = COMPOSE.with_name(COMPOSE.name + SUFFIX)
    draft = yaml.load(renderer.render(template, inputs=AnyKey()), Loader=_LOADER)  # noqa: S506
    inputs = {
        name: digest_inputs(find_sources(service), contents)
        for name, service in draft["services"].items()
    }
    text = renderer.render(template, inputs=inputs).replace("$", "$$")
    return PlannedFile(path=COMPOSE, content=text.encode())


def tag_image(name: str, contexts: Iterable[PlannedFile], context: str = "", base: str = "") -> str:
    """Return the image's name; its tag follows the context, so that a changed one is built.

    `context` is the name of that, if another, `base` an image that the build is told.
    """
    prefix, aside = f"{IMAGES}/{context or name}/", f"{IMAGES}/{_CONVERTER}/"
    found = {str(f.path): f.content for f in contexts if str(f.path).startswith(prefix)}
    chosen = {path: content for path, content in found.items() if not path.startswith(aside)}
    return f"synapse-bundle/{name}:{digest(chosen | ({'': base.encode()} if base else {}))[:12]}"


def read_kept(bundle: Path) -> dict[str, bytes]:
    """Return the contents of the operator's own configuration files in a bundle."""
    kept = [p for p, _ in assets.walk(assets.locate("compose")) if p.name.endswith(_OVERRIDE)]
    return {str(p): (bundle / p).read_bytes() for p in kept if (bundle / p).is_file()}

"""Bundles for tests: planned with readable stand-ins for the secrets, nothing on disk."""

from __future__ import annotations

import functools
import string
from pathlib import Path
from typing import Any, Final

import yaml

from synapse_bundle import planning
from synapse_bundle.credentials.collection import Credentials, list_needless
from synapse_bundle.credentials.generated import MAKERS, WORKER_MAKERS
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.settings import DIRECTORY

# Any occurrence outside secrets/ is a leak, which is found by the angle brackets.
STAND_INS: Final = {name: f"<{name}>" for name in MAKERS} | {
    "signing.key": "ed25519 a_Test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "authority.key": "<authority.key>",
    "authority.pem": "<authority.pem>",
}


class DrillLoader(yaml.SafeLoader):
    """Reads what Compose merges: a value that replaces another, or removes it."""


def _construct_override(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node)


DrillLoader.add_constructor("!reset", lambda *_: None)
DrillLoader.add_constructor("!override", _construct_override)


def fake_credentials(settings: Settings) -> Credentials:
    """Return credentials that are the same in every run."""
    tunnel = (DIRECTORY / "tunnel.json").read_text(encoding="utf-8").rstrip("\n")
    extra = {"tunnel.json": tunnel} if settings.tunnel else {}
    chosen = settings.certificates
    extra |= {"dns_token": "<dns_token>"} if chosen.acme else {}
    extra |= {"root.pem": "<root.pem>"} if chosen.root else {}
    extra |= {"notification_urls": "<notification_urls>"} if chosen.notify else {}
    needless = list_needless(settings)
    extra |= {name: f"<{name}>" for name in WORKER_MAKERS if name not in needless}
    extra |= {"heartbeat_url": "<heartbeat_url>"} if settings.heartbeat else {}
    extra |= {"releases.signed": "<releases.signed>"} if settings.updates.file else {}
    extra |= {"release_keys.pem": "<release_keys.pem>"} if settings.updates.key else {}
    for key, name in (
        ("credentials", "backup_credentials"),
        ("ssh_key", "backup_ssh_key"),
        ("known_hosts", "backup_known_hosts"),
    ):
        extra |= {name: f"<{name}>"} if getattr(settings.backup, key) else {}
    database = settings.database
    extra |= {"database_password": "<database_password>"} if database else {}
    extra |= {"database_root.pem": "<database_root.pem>"} if database and database.root else {}
    generated = {name: value for name, value in STAND_INS.items() if name not in needless}
    return Credentials(values=generated | extra)


@functools.cache
def plan_shape(path: Path) -> planning.Plan:
    """Return the plan for a settings file."""
    return plan_settings(loading.load(path))


def plan_settings(settings: Settings, existing: dict[str, bytes] | None = None) -> planning.Plan:
    """Return the plan for settings."""
    return planning.plan(settings, fake_credentials(settings), existing or {})


def read_compose(plan: planning.Plan) -> dict[str, Any]:
    """Return a plan's compose.yaml, parsed and interpolated without any variable being set."""
    model: dict[str, Any] = interpolate(yaml.safe_load(plan.files[-1].content))
    return model


def interpolate(value: Any) -> Any:
    """Return a value as Compose understands it; raises KeyError for a variable it would look up."""
    if isinstance(value, dict):
        return {key: interpolate(each) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each) for each in value]
    return string.Template(value).substitute({}) if isinstance(value, str) else value

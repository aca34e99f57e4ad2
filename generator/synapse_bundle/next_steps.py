"""What a run prints at its end: what to type next, and how to sign in."""

from __future__ import annotations

import shlex
from pathlib import Path

from .credentials.file_names import DIRECTORY
from .settings.model import Settings


def write_next(bundle: Path, root: Path, *, smaller: bool = False) -> str:
    """Return what to type after `generate`, from the directory the operator is in.

    A bundle that became `smaller` may have lost a service, whose container would run on.
    """
    here = bundle.resolve().parent == root.resolve() and (root / "compose.yaml").exists()
    place = str(_shorten(bundle, root))
    # A quoted name that starts with a hyphen is still an option to `cd`.
    place = shlex.quote(f"./{place}" if place.startswith("-") else place)
    change = "" if here else f"cd {place} && "
    option = " --remove-orphans" if smaller else ""
    return f"Next:  {change}docker compose up -d{option}"


def write_conversion(bundle: Path) -> str:
    """Return what to type after `generate` where only a cluster has the database."""
    option = "" if bundle == Path("bundle") else f" --output={shlex.quote(str(bundle))}"
    return f"synapse-bundle kubernetes{option}"


def write_sign_in(settings: Settings, bundle: Path, root: Path) -> str:
    """Return how to sign in and where the password is."""
    place = _shorten(bundle, root)
    lines = [
        ("Matrix server", settings.server_name),
        ("Homeserver", settings.base_url),
        ("User", f"@{settings.admin}:{settings.server_name}"),
        ("Password", f"in {place}/{DIRECTORY}/admin_password"),
        *_list_addresses(settings, place),
        ("Check it", "docker compose exec helper check"),
    ]
    return "\n".join(f"  {name:<14} {text}" for name, text in lines)


def _list_addresses(settings: Settings, place: Path) -> list[tuple[str, str]]:
    """Return the addresses on this machine, and the certificate that a client must trust."""
    authority = f"{place}/{DIRECTORY}/authority.pem"
    synapse = f"http://127.0.0.1:{settings.ports.synapse}"
    if settings.trial:
        return [
            ("", f"or {synapse.replace('127.0.0.1', 'localhost')} for clients on this machine"),
            ("Certificate", f"import {authority} into the client, once"),
        ]
    apache = f"https://127.0.0.1:{settings.ports.https}"
    return [("This machine", f"{apache} (trust {authority}), {synapse}")]


def _shorten(bundle: Path, root: Path) -> Path:
    """Return the bundle's path as a person would type it."""
    whole = bundle.resolve()
    return whole.relative_to(root.resolve()) if whole.is_relative_to(root.resolve()) else whole

"""What the operator provides, which is copied: tunnel, DNS token, roots, addresses, backup, database, releases."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..settings.model import Settings
from . import backup_access
from .file_names import (
    ACCESS_KEYS,
    DATABASE_PASSWORD,
    DATABASE_ROOT,
    HEARTBEAT,
    KNOWN_HOSTS,
    NOTIFICATION,
    RELEASE_KEYS,
    RELEASE_LIST,
    ROOT,
    SSH_KEY,
    TOKEN,
    TUNNEL,
)
from .known_hosts import check_known_hosts
from .tunnel_credential import read_credential

_CERTIFICATE: Final = r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----"
_WITHOUT: Final = (
    "secrets/dns_token: does not exist, and Let's Encrypt needs it to reach your DNS zone. Make one"
    " with: synapse-bundle cloudflare apply; or at"
    " https://dash.cloudflare.com/profile/api-tokens (Zone, DNS, Edit; one zone), then:"
    " synapse-bundle generate --token (or certificates: own-authority)"
)

_WITHOUT_TUNNEL: Final = (
    "secrets/tunnel.json: does not exist. Make a tunnel with: synapse-bundle cloudflare apply; or"
    " paste the token of yours: synapse-bundle tunnel import"
)
_HIGHEST_PORT: Final = 65535
_PUBLIC_KEY: Final = r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----"
# The helper has the same limit; tests/bundle/test_contract.py compares them.
LARGEST_LIST: Final = 10_240
# What was typed in or made for this bundle exists nowhere else.
_KEPT: Final = (TUNNEL, TOKEN)

Check = Callable[[str], str]
Reader = Callable[[Path, Check, list[str]], str | None]


@dataclass(frozen=True, kw_only=True)
class ProvidedSecret:
    """A secret to copy: its file name, its title, where it comes from, and its check.

    `missing` is the message without it, `convert` turns its text into what the bundle holds.
    """

    name: str
    title: str
    source: Path | None
    check: Check
    missing: str
    convert: Callable[[str], str] = str


def read(
    directory: Path,
    settings: Settings,
    base: Path,
    read_file: Reader,
    problems: list[str],
    given: Mapping[str, str],
) -> Mapping[str, str]:
    """Return the provided secrets by name; what is unusable is added to the problems.

    `directory` holds the copies of earlier runs, `base` is what file names in the settings are
    relative to, `given` are secrets that were given to this run, by name.
    """
    values: dict[str, str] = {}
    for wanted in _list_wanted(settings, base):
        value = given.get(wanted.name)
        before = len(problems)
        if value is not None:
            fault = wanted.check(value)
            problems += [f"the {wanted.title} {fault}"] if fault else []
        else:
            value = _read_one(wanted, directory, read_file, problems)
        if value is not None and len(problems) == before:
            values[wanted.name] = wanted.convert(value)
    for name in _KEPT:
        if name not in values and (directory / name).is_file():
            # Another issuer, or no tunnel, may be a temporary change.
            kept = read_file(directory / name, lambda _: "", problems)
            values |= {name: kept} if kept is not None else {}
    return values


def _list_wanted(settings: Settings, base: Path) -> Iterator[ProvidedSecret]:
    """Yield the secrets that the settings ask for."""
    chosen = settings.certificates
    if settings.tunnel:
        named = settings.tunnel.credentials
        yield ProvidedSecret(
            name=TUNNEL,
            title="tunnel credential",
            source=base / named if named else None,
            check=_check_tunnel,
            convert=read_credential,
            missing=f"{named}: does not exist; tunnel.credentials names it"
            if named
            else _WITHOUT_TUNNEL,
        )
    if chosen.acme:
        source = base / chosen.token if chosen.token else None
        yield ProvidedSecret(
            name=TOKEN, title="DNS token", source=source, check=check_dns_token, missing=_WITHOUT
        )
    for name, file, check, key in _list_named(settings):
        if file:
            missing = f"{file}: does not exist; {key} names it"
            yield ProvidedSecret(
                name=name, title=name, source=base / file, check=check, missing=missing
            )


def _list_named(settings: Settings) -> Iterator[tuple[str, str | None, Check, str]]:
    """Yield what only a file that the settings name can give: name, file, check, key."""
    chosen, backup = settings.certificates, settings.backup
    yield ROOT, chosen.root, check_root, "certificates.root"
    yield NOTIFICATION, chosen.notify, check_notification, "certificates.notify"
    yield HEARTBEAT, settings.heartbeat, check_heartbeat, "heartbeat"
    check_keys = functools.partial(backup_access.check_access_keys, backup.kind)
    yield ACCESS_KEYS, backup.credentials, check_keys, "backup.credentials"
    yield SSH_KEY, backup.ssh_key, backup_access.check_ssh_key, "backup.ssh_key"
    check_hosts = functools.partial(check_known_hosts, backup.repository)
    yield KNOWN_HOSTS, backup.known_hosts, check_hosts, "backup.known_hosts"
    if settings.database:
        password, root = settings.database.password, settings.database.root
        yield DATABASE_PASSWORD, password, check_database_password, "database.password"
        yield DATABASE_ROOT, root, check_root, "database.root"
    yield RELEASE_LIST, settings.updates.file, check_release_list, "updates.list"
    yield RELEASE_KEYS, settings.updates.key, check_release_keys, "updates.key"


def _read_one(
    wanted: ProvidedSecret, directory: Path, read_file: Reader, problems: list[str]
) -> str | None:
    """Return the named file's value, else that of an earlier run's copy."""
    before = len(problems)
    places = [*([wanted.source] if wanted.source else []), directory / wanted.name]
    for place in places:
        value = read_file(place, wanted.check, problems)
        if value is not None or len(problems) > before:
            return value
    problems.append(wanted.missing)
    return None


def _check_tunnel(value: str) -> str:
    """Return what is wrong with a tunnel's credential, in either form, or an empty string."""
    try:
        read_credential(value)
    except ValueError as error:
        return str(error)
    return ""


def check_dns_token(value: str) -> str:
    """Return what is wrong with a Cloudflare API token, or an empty string."""
    # Cloudflare Fundamentals, "Token formats": the old form and the new one.
    if re.fullmatch(r"[0-9a-f]{37,45}|cfk_.*", value):
        return "is a Global API Key, which gives access to the whole account; create an API token instead"
    if re.fullmatch(r"[A-Za-z0-9_-]{40,128}", value):
        return ""
    return (
        "is not a Cloudflare API token: one line of 40 or more letters, digits, _ and -;"
        " copy all of it again, with nothing around it"
    )


def check_root(value: str) -> str:
    """Return what is wrong with a file of root certificates, or an empty string."""
    whole = re.fullmatch(rf"{_CERTIFICATE}(\n+{_CERTIFICATE})*\n*", value)
    return "" if whole else "is not a PEM file that holds only certificates"


def check_database_password(value: str) -> str:
    """Return what is wrong with the password of a database's role, or an empty string."""
    if value and value.isprintable() and value == value.strip():
        return ""
    return "must be one line without spaces around it (a Windows line end counts)"


def check_release_list(value: str) -> str:
    """Return what is wrong with a list of releases, or an empty string; the helper verifies it."""
    if len(value.encode()) >= LARGEST_LIST:
        return f"has more than {LARGEST_LIST} bytes"
    if re.match(r"[A-Za-z0-9+/]{86}==\n\{", value):
        return ""
    return "is not a signed list of releases, whose first line is its signature"


def check_release_keys(value: str) -> str:
    """Return what is wrong with a file of public keys, or an empty string."""
    whole = re.fullmatch(rf"{_PUBLIC_KEY}(\n+{_PUBLIC_KEY})*\n*", value)
    return "" if whole else "is not a PEM file that holds only public keys (openssl pkey -pubout)"


def check_notification(value: str) -> str:
    """Return what is wrong with a list of notification addresses, or an empty string."""
    wrong = [
        number
        for number, line in enumerate(value.splitlines(), start=1)
        if not re.fullmatch(r"[a-z][a-z0-9]*://[!-~]+", line)
    ]
    if not value or wrong:
        return f"line {(wrong or [1])[0]} is not an Apprise address; use for example mailto://…"
    return ""


def check_heartbeat(value: str) -> str:
    """Return what is wrong with the address to call while all is well, or an empty string."""
    parts = re.fullmatch(r"https://[A-Za-z0-9.-]+(:([0-9]{1,5}))?([/?][!-~]*)?", value)
    if parts and 1 <= int(parts[2] or 443) <= _HIGHEST_PORT and "#" not in value:
        return ""
    return "is not an https address on one line; use for example https://hc.example.org/ping/…"

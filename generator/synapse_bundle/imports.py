"""Secrets that others made and the bundle keeps a copy of: tunnel, DNS token, roots, addresses."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .settings import Settings

TUNNEL: Final = "tunnel.json"
TOKEN: Final = "dns_token"  # noqa: S105  # the name of a file
ROOT: Final = "root.pem"
NOTIFICATION: Final = "notification_urls"
NAMES: Final = (TUNNEL, TOKEN, ROOT, NOTIFICATION)
UUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CERTIFICATE: Final = r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----"
WITHOUT: Final = (
    "secrets/dns_token: does not exist, and Let's Encrypt needs it to reach your DNS zone. Make one"
    " at https://dash.cloudflare.com/profile/api-tokens (Zone, DNS, Edit; one zone), then:"
    " synapse-bundle generate --token (or certificates: own-authority)"
)

Check = Callable[[str], str]
Reader = Callable[[Path, Check, list[str]], str | None]


@dataclass(frozen=True, kw_only=True)
class Import:
    """One file to copy: its name in the bundle, where it comes from, and what is said without."""

    name: str
    source: Path | None
    check: Check
    missing: str


def collect(
    directory: Path,
    settings: Settings,
    base: Path,
    read: Reader,
    problems: list[str],
    token: str | None,
) -> Mapping[str, str]:
    """Return the imported secrets by name; what is unusable is added to the problems.

    `directory` holds the copies of earlier runs, `base` is what the settings' file names start
    from, `token` is a DNS token that was typed in.
    """
    values: dict[str, str] = {}
    for wanted in list_wanted(settings, base):
        value = token if wanted.name == TOKEN and token is not None else None
        if value is not None:
            fault = check_dns_token(value)
            problems += [f"the DNS token {fault}"] if fault else []
        elif (value := read_import(wanted, directory, read, problems)) is None:
            continue
        values[wanted.name] = value
    if not settings.certificates.acme and (directory / TOKEN).is_file():
        # Another issuer may be a change for a day: a token that was typed in is not thrown away.
        kept = read(directory / TOKEN, lambda _: "", problems)
        values |= {TOKEN: kept} if kept is not None else {}
    return values


def list_wanted(settings: Settings, base: Path) -> Iterator[Import]:
    """Yield what the settings want to be copied."""
    chosen = settings.certificates
    if settings.tunnel:
        source = base / settings.tunnel.credentials
        yield Import(name=TUNNEL, source=source, check=check_tunnel, missing=(
            f"{source.name}: does not exist; tunnel.credentials names the file that"
            " `cloudflared tunnel create` wrote"
        ))  # fmt: skip
    if chosen.acme:
        source_of_token = base / chosen.token if chosen.token else None
        yield Import(name=TOKEN, source=source_of_token, check=check_dns_token, missing=WITHOUT)
    for name, file, check, key in (
        (ROOT, chosen.root, check_root, "root"),
        (NOTIFICATION, chosen.notify, check_notification, "notify"),
    ):
        if file:
            missing = f"{file}: does not exist; certificates.{key} names it"
            yield Import(name=name, source=base / file, check=check, missing=missing)


def read_import(wanted: Import, directory: Path, read: Reader, problems: list[str]) -> str | None:
    """Return the named file's value, else that of an earlier run's copy."""
    before = len(problems)
    places = [*([wanted.source] if wanted.source else []), directory / wanted.name]
    for place in places:
        value = read(place, wanted.check, problems)
        if value is not None or len(problems) > before:
            return value
    problems.append(wanted.missing)
    return None


def check_tunnel(value: str) -> str:
    """Say what is wrong with a tunnel credentials file, or nothing."""
    try:
        document = json.loads(value)
        secret = base64.b64decode(document["TunnelSecret"], validate=True)
        named = re.fullmatch(UUID, document["TunnelID"]) and document["AccountTag"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return "is no tunnel credentials file (JSON with AccountTag, TunnelID and TunnelSecret)"
    if not named or len(secret) < 32:
        return "has no valid TunnelID, AccountTag or TunnelSecret"
    return ""


def check_dns_token(value: str) -> str:
    """Say what is wrong with a Cloudflare API token, or nothing."""
    if re.fullmatch(r"[0-9a-f]{37}", value):
        return "is a Global API Key, which opens the whole account; make an API token instead"
    if re.fullmatch(r"[A-Za-z0-9_-]{40,128}", value):
        return ""
    return (
        "is no Cloudflare API token: one line of 40 or more letters, digits, _ and -;"
        " copy it again, whole and with nothing around it"
    )


def check_root(value: str) -> str:
    """Say what is wrong with a file of root certificates, or nothing."""
    whole = re.fullmatch(rf"{CERTIFICATE}(\n+{CERTIFICATE})*\n*", value)
    return "" if whole else "is no PEM file of certificates and nothing else"


def check_notification(value: str) -> str:
    """Say what is wrong with a list of notification addresses, or nothing."""
    wrong = [
        number
        for number, line in enumerate(value.splitlines(), start=1)
        if not re.fullmatch(r"[a-z][a-z0-9]*://[!-~]+", line)
    ]
    if not value or wrong:
        return f"line {(wrong or [1])[0]} is no Apprise address such as mailto://… or json://…"
    return ""

"""Which secrets a rotation replaces, what it costs, and what to do about the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..credentials.file_names import (
    ACCESS_KEYS,
    ADMIN_PASSWORD,
    AUTHORITY_CERTIFICATE,
    AUTHORITY_KEY,
    BACKUP_PASSWORD,
    DATABASE_PASSWORD,
    DATABASE_ROOT,
    DIRECTORY,
    HEARTBEAT,
    INSTANCE,
    KNOWN_HOSTS,
    NOTIFICATION,
    OLD_SIGNING_KEYS,
    PASSWORD_PEPPER,
    REGISTRATION,
    RELEASE_KEYS,
    RELEASE_LIST,
    REPLICATION,
    ROLE_PASSWORD,
    ROOT,
    SIGNING_KEY,
    SSH_KEY,
    SUPERUSER_PASSWORD,
    TOKEN,
    TUNNEL,
    VALKEY,
)
from ..credentials.generated import WORKER_MAKERS
from ..errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Rotatable:
    """A secret that a rotation replaces.

    `cost` is whose sessions end, or what else people notice; `afterwards` what is left to do by hand.
    A `grave` one asks for the server's name, not for a yes. `finished_online`: the server must run at
    the end, because it holds the value too.
    """

    name: str
    cost: str
    afterwards: str = ""
    grave: bool = False
    finished_online: bool = False


_NO_SESSION: Final = "no session ends"
ROTATABLE: Final = {
    each.name: each
    for each in (
        Rotatable(name=SUPERUSER_PASSWORD, cost=_NO_SESSION),
        Rotatable(name=ROLE_PASSWORD, cost=_NO_SESSION),
        Rotatable(
            name=REGISTRATION,
            cost="only the session of `check` ends",
            afterwards="Make a set, which a full drill can sign in to: docker compose run --rm backup now",
            finished_online=True,
        ),
        Rotatable(
            name="macaroon_secret_key", cost=f"{_NO_SESSION}; open sign-in links stop working"
        ),
        Rotatable(name="form_secret", cost=_NO_SESSION),
        Rotatable(name=REPLICATION, cost=_NO_SESSION),
        Rotatable(name=VALKEY, cost=_NO_SESSION),
        Rotatable(
            name=ADMIN_PASSWORD,
            cost="the first administrator gets a new password, and all their sessions end",
            finished_online=True,
        ),
        Rotatable(
            name=BACKUP_PASSWORD,
            cost="the recovery card is void; sets stay readable",
            afterwards="Print the new recovery card: docker compose run --rm backup card",
        ),
        Rotatable(
            name=SIGNING_KEY,
            cost=f"{_NO_SESSION}; other servers learn the new key by themselves",
            afterwards="Make a set, which has the new key: docker compose run --rm backup now",
            grave=True,
        ),
        Rotatable(
            name=AUTHORITY_KEY,
            cost="every device that trusts authority.pem must import the new one",
            afterwards=f"Import {DIRECTORY}/{AUTHORITY_CERTIFICATE} on every device that trusted the"
            " old one, and remove that",
            grave=True,
        ),
    )
}

_ELSEWHERE: Final = (
    "change it where it comes from, write it into the file that {key} in settings.yaml names, then:"
    " synapse-bundle generate, and `docker compose up -d` in the bundle"
)
_RENDERED: Final = "is written from other secrets; rotate {sources}"
_ADVICE: Final = {
    TUNNEL: "comes from Cloudflare: synapse-bundle cloudflare destroy, delete secrets/tunnel.json,"
    " then synapse-bundle cloudflare apply. For a tunnel of your own: refresh its token in the"
    " dashboard, then synapse-bundle tunnel import",
    TOKEN: "comes from Cloudflare: delete secrets/dns_token, then synapse-bundle cloudflare apply,"
    " which ends the old one. For a token of your own: roll it in the dashboard, then"
    " synapse-bundle generate --token",
    ROOT: _ELSEWHERE.format(key="certificates.root"),
    NOTIFICATION: _ELSEWHERE.format(key="certificates.notify"),
    HEARTBEAT: _ELSEWHERE.format(key="heartbeat"),
    ACCESS_KEYS: _ELSEWHERE.format(key="backup.credentials"),
    SSH_KEY: _ELSEWHERE.format(key="backup.ssh_key"),
    KNOWN_HOSTS: _ELSEWHERE.format(key="backup.known_hosts"),
    DATABASE_PASSWORD: _ELSEWHERE.format(key="database.password"),
    DATABASE_ROOT: _ELSEWHERE.format(key="database.root"),
    RELEASE_LIST: _ELSEWHERE.format(key="updates.list"),
    RELEASE_KEYS: _ELSEWHERE.format(key="updates.key"),
    INSTANCE: "is not a secret: it ties this folder to its data, and never changes",
    OLD_SIGNING_KEYS: f"is not a secret: it lists the keys that were before {SIGNING_KEY}",
    PASSWORD_PEPPER: "is part of the hash of each password: with another one nobody could sign in",
    AUTHORITY_CERTIFICATE: _RENDERED.format(sources=AUTHORITY_KEY),
    "trust.pem": _RENDERED.format(sources=AUTHORITY_KEY),
    "valkey.conf": _RENDERED.format(sources=VALKEY),
    "synapse.yaml": _RENDERED.format(
        sources=f"{REGISTRATION}, macaroon_secret_key, form_secret or {ROLE_PASSWORD}"
    ),
}


def require_rotatable(names: Iterable[str], existing: Iterable[str]) -> tuple[Rotatable, ...]:
    """Return the secrets of these names; SettingsError lists every name that is not one.

    `existing` are the secrets that the bundle has: those of workers only where there are any, and those of a
    database only where it is the bundle's own.
    """
    wanted, known = list(dict.fromkeys(names)), set(existing)
    problems = [
        f"{name}: {_explain(name)}" for name in wanted if name not in ROTATABLE or name not in known
    ]
    if problems:
        raise SettingsError("Nothing was changed.", problems)
    return tuple(ROTATABLE[name] for name in wanted)


def _explain(name: str) -> str:
    if name in _ADVICE:
        return _ADVICE[name]
    if name in ROTATABLE:
        needed = "workers" if name in WORKER_MAKERS else "database of its own"
        return f"this bundle has none, because it has no {needed}"
    return f"is not a secret of the bundle; use one of {', '.join(ROTATABLE)}"

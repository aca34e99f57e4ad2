"""The keys by which ssh knows the host of a repository: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import Final, NamedTuple

from ..settings.repository import name_ssh_host

_KNOWN_HOST: Final = re.compile(
    r"(?P<marker>@(cert-authority|revoked) +)?(?P<names>[!-~]+) +[a-z0-9@.-]+ +AAAA[A-Za-z0-9+/]+=*( .*)?"
)
_HASHED: Final = re.compile(r"\|1\|([A-Za-z0-9+/]+=*)\|([A-Za-z0-9+/]+=*)")
_PLAIN_PORT: Final = "22"


class _HostKey(NamedTuple):
    """One line: whose key it is, and whether it is one to be trusted."""

    names: str
    trusted: bool


def check_known_hosts(repository: str, value: str) -> str:
    """Return what is wrong with the known hosts for an sftp `repository`, or an empty string."""
    keys: list[_HostKey] = []
    for number, line in enumerate(value.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _KNOWN_HOST.fullmatch(line)
        if match is None:
            return f"line {number} is not the key of a host; make the file with: ssh-keyscan HOST"
        keys.append(_HostKey(match["names"], not (match["marker"] or "").startswith("@revoked")))
    host, port = name_ssh_host(repository)
    # ssh looks a host up in lower case, with its port unless that is the usual one.
    name = host.lower() if port in {"", _PLAIN_PORT} else f"[{host.lower()}]:{port}"
    if any(key.trusted and _covers(key.names, name) for key in keys):
        return ""
    option = f"-p {port} " if name.startswith("[") else ""
    return (
        f"holds no key of {name}, the host of backup.repository; make the file with:"
        f" ssh-keyscan {option}{host}"
    )


def _covers(names: str, name: str) -> bool:
    """Say whether the first field of a line is for `name`: hashed, or patterns with `*`, `?` and `!`."""
    if hashed := _HASHED.fullmatch(names):
        return _is_hash(hashed[1], hashed[2], name)
    patterns = names.split(",")
    refused = any(_matches(one[1:], name) for one in patterns if one.startswith("!"))
    return not refused and any(_matches(one, name) for one in patterns)


def _matches(pattern: str, name: str) -> bool:
    form = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(form, name) is not None


def _is_hash(salt: str, expected: str, name: str) -> bool:
    """Compare as `HashKnownHosts` of ssh_config(5) hashes: HMAC-SHA1 of the name."""
    try:
        key, digest = base64.b64decode(salt), base64.b64decode(expected)
    except binascii.Error:
        return False
    return hmac.compare_digest(hmac.digest(key, name.encode(), "sha1"), digest)

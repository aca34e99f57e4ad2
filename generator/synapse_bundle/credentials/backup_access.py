"""What opens a remote repository: access keys, the key for SFTP."""

from __future__ import annotations

import base64
import re
from typing import Final

_S3_NAMES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
)
_REST_NAMES: Final = ("RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD")
# S3 needs a pair at least, a rest-server exactly one.
_REQUIRED: Final = {"s3": _S3_NAMES[:2], "rest": _REST_NAMES}
_KNOWN: Final = {"s3": _S3_NAMES, "rest": _REST_NAMES}
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (OPENSSH|RSA|EC|DSA|ENCRYPTED)? ?PRIVATE KEY-----\n(.+)\n-----END [A-Z ]+-----",
    re.DOTALL,
)
# OpenSSH, PROTOCOL.key: the name of the cipher follows this mark, with its length.
_MARK: Final = b"openssh-key-v1\0"
_UNENCRYPTED: Final = _MARK + b"\0\0\0\4none"
_ENCRYPTED: Final = (
    "has a passphrase, which nobody could type at night; make a key without one:"
    " ssh-keygen -t ed25519 -N '' -f FILE"
)


def check_access_keys(kind: str, value: str) -> str:
    """Return what is wrong with a file of access keys for `s3` or `rest`, or an empty string."""
    found: list[str] = []
    for number, line in enumerate(value.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, text = line.partition("=")
        if name not in _KNOWN[kind]:
            # An unknown name may be a secret that was pasted alone.
            return f"line {number} is not NAME=value with one of {', '.join(_KNOWN[kind])}"
        if not separator or not text or not text.isprintable() or text != text.strip():
            return f"line {number} has no usable value: {name}=value, without spaces or quotes"
        if text[0] in "'\"":
            return f"line {number} has quotes; write {name}=value without them"
        if name in found:
            return f"line {number} gives {name} again"
        found.append(name)
    missing = [name for name in _REQUIRED[kind] if name not in found]
    return f"lacks a line {missing[0]}=value" if missing else ""


def check_ssh_key(value: str) -> str:
    """Return what is wrong with a private key for SSH, or an empty string."""
    if re.match(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ ", value):
        return "is a public key; name the private one, the file without .pub"
    match = _PRIVATE_KEY.fullmatch(value)
    if not match:
        return "is not a private key of OpenSSH; make one with: ssh-keygen -t ed25519 -N '' -f FILE"
    if match[1] == "ENCRYPTED" or "Proc-Type: 4,ENCRYPTED" in match[2]:
        return _ENCRYPTED
    if match[1] != "OPENSSH":
        return ""
    try:
        content = base64.b64decode(match[2].replace("\n", ""), validate=True)
    except ValueError:
        content = b""
    if not content.startswith(_MARK):
        return "is damaged; copy the whole file again"
    return "" if content.startswith(_UNENCRYPTED) else _ENCRYPTED

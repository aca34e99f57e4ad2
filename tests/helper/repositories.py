"""What a test does to a repository behind the helper's back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

if TYPE_CHECKING:
    from tests.helper.machines import Machine


def restic(machine: Machine, *arguments: str) -> str:
    """Run restic with the machine's repository."""
    return machine.execute(
        *("restic", "--repo=/repository", "--password-file=/bundle/secrets/backup_password"),
        *arguments,
    )


def list_snapshots(machine: Machine, tag: str) -> list[dict[str, Any]]:
    """Return the snapshots with a tag, oldest first."""
    found: list[dict[str, Any]] = json.loads(restic(machine, "snapshots", "--json", "--tag", tag))
    return sorted(found, key=lambda snapshot: snapshot["time"])


def read_manifest(machine: Machine, snapshot: str) -> dict[str, Any]:
    """Return the manifest in a snapshot."""
    text = restic(machine, "dump", snapshot, "/run/backup/manifest.json")
    content: dict[str, Any] = json.loads(text)
    return content


def forge(machine: Machine, **changes: Any) -> str:
    """Give the newest set another manifest, and the folder and files as they are now; return its name."""
    original = list_snapshots(machine, "set")[-1]
    manifest = read_manifest(machine, original["id"]) | changes
    text = json.dumps(manifest)
    machine.execute("sh", "-c", 'printf %s "$1" >/run/backup/manifest.json', "sh", text)
    tags = ",".join(original["tags"])
    paths = ("/bundle", "/media", "/run/backup/manifest.json")
    restic(machine, "backup", "--host=example.org", f"--tag={tags}", *paths)
    restic(machine, "forget", original["id"])
    return str(manifest["set"])


def flip_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def weaken_key(repository: Path, password: str) -> None:
    """Let restic derive the repository's key in no time instead of half a second for each command.

    https://restic.readthedocs.io/en/stable/100_references.html#keys-encryption-and-mac
    """
    (path,) = (repository / "keys").iterdir()
    key = json.loads(path.read_text())
    data, salt = (base64.b64decode(key[name]) for name in ("data", "salt"))
    strong = hashlib.scrypt(
        password.encode(), salt=salt, n=key["N"], r=key["r"], p=key["p"], dklen=64, maxmem=1 << 30
    )
    weak = hashlib.scrypt(password.encode(), salt=salt, n=2, r=1, p=1, dklen=64)
    iv = os.urandom(16)
    sealed = _apply(weak, iv, _apply(strong, data[:16], data[16:-16]))
    one_time = weak[48:] + Cipher(algorithms.AES(weak[32:48]), modes.ECB()).encryptor().update(iv)  # noqa: S305
    tag = Poly1305.generate_tag(one_time, sealed)
    key |= {"N": 2, "r": 1, "p": 1, "data": base64.b64encode(iv + sealed + tag).decode()}
    text = json.dumps(key).encode()
    path.unlink()
    (repository / "keys" / hashlib.sha256(text).hexdigest()).write_bytes(text)


def _apply(key: bytes, iv: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key[:32]), modes.CTR(iv)).encryptor().update(data)

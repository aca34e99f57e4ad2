"""The base image, built from Debian's packages as Debian's own slim image is."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Final

from tests.lab.debian_mirror import SUITE, find_mirror
from tests.lab.paths import LabPaths
from tests.lab.steps import run

ROOTS: Final = Path("/usr/local/share/ca-certificates")
# What makes the slim image slim, and keeps apt's caches out of layers.
DPKG: Final = "\n".join(
    f"path-exclude /usr/share/{name}/*" for name in ("doc", "man", "info", "locale", "groff")
)
APT: Final = (
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
    'Acquire::Languages "none";\n'
    'Apt::AutoRemove::SuggestsImportant "false";\n'
)


def list_roots() -> list[Path]:
    """Return the certificate authorities this machine trusts beside Debian's."""
    return sorted(ROOTS.glob("**/*.crt"))


def digest_base() -> str:
    """Return a digest over all that decides what is in the base image."""
    parts = [*find_mirror().list_sources(), DPKG, APT, *(p.read_text() for p in list_roots())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def list_hooks() -> list[str]:
    """Return the options that add settings and the machine's own authorities to the image.

    Behind a proxy that inspects TLS, apt and pip work in every build only when the image
    trusts the proxy; so the base image does, and no Dockerfile needs to know.
    """
    hooks = [
        f'printf %s {shlex.quote(DPKG)} > "$1/etc/dpkg/dpkg.cfg.d/docker"',
        f'printf %s {shlex.quote(APT)} > "$1/etc/apt/apt.conf.d/docker"',
        'rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale"',
    ]
    for root in map(str, list_roots()):
        hooks += [f'cp {shlex.quote(root)} "$1/usr/local/share/ca-certificates/"']
    hooks.append('chroot "$1" update-ca-certificates')
    return [f"--customize-hook={hook}" for hook in hooks]


def build_base(paths: LabPaths, tag: str, label: str) -> None:
    """Build the root file system and import it under `tag` with the label `label`."""
    archive = paths.root / "base.tar"
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", "--include=ca-certificates"]
    run([*command, *list_hooks(), SUITE, archive, *find_mirror().list_sources()])
    docker = [paths.docker, "import", "--change", 'CMD ["bash"]']
    run(
        [*docker, "--change", f"LABEL {label}", str(archive), tag],
        environment=paths.list_environment(),
    )
    archive.unlink()

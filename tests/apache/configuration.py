"""What the bundle mounts into Apache, as the generator itself plans it for two shapes."""

from __future__ import annotations

import functools
import re
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bundles import plan_shape

UPLOAD_LIMIT: Final = 20 * 2**20
# The tunnel's subnet follows from the project: each run of the tests has a network of its own.
PROJECT: Final = f"apache-test-{uuid.uuid4().hex[:8]}"
TRIAL: Final = "max_upload_size: 20M\n"
DOMAIN: Final = f"""\
{TRIAL}
server_name: example.org
email: you@example.org
certificates: own-authority
tunnel: {{credentials: tunnel.json}}
project: {PROJECT}
"""
SUPPORT: Final = "{email_address: help@example.org, page: 'https://example.org/help'}"


@dataclass(frozen=True, kw_only=True)
class ApacheConfiguration:
    """The folder at /etc/homeserver: the text of each file, by its path."""

    homeserver: str
    files: Mapping[str, str]

    @property
    def tunnel_address(self) -> str:
        """The one address that may say who the client is."""
        (address,) = re.findall(
            "^ *RemoteIPTrustedProxy (.+)$", self.files["httpd.conf"], re.MULTILINE
        )
        return str(address)

    def write(self, folder: Path, **directives: str) -> Path:
        """Write the folder and return it.

        `directives` gives a directive of httpd.conf another value, to make a long wait short.
        """
        for name, text in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_replace(text, directives) if name == "httpd.conf" else text)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return folder


def plan_trial() -> ApacheConfiguration:
    """Return the trial's configuration."""
    return ApacheConfiguration(homeserver="localhost", files=_plan(TRIAL))


def plan_domain(support: str = SUPPORT) -> ApacheConfiguration:
    """Return the configuration of a domain behind a tunnel, with contacts as YAML."""
    files = _plan(f"{DOMAIN}support: {support}\n")
    return ApacheConfiguration(homeserver="matrix.example.org", files=files)


def plan_workers(preset: str) -> ApacheConfiguration:
    """Return the configuration of a trial with workers; their network follows from the project."""
    settings = f"{TRIAL}memory: 4G\nworkers: {preset}\nproject: {PROJECT}\n"
    return ApacheConfiguration(homeserver="localhost", files=_plan(settings))


@functools.cache
def _plan(settings: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.yaml")
        path.write_text(settings, encoding="utf-8")
        files = plan_shape(path).files
    return {
        str(file.path.relative_to("apache")): file.content.decode()
        for file in files
        if file.path.parts[0] == "apache"
    }


def _replace(text: str, directives: Mapping[str, str]) -> str:
    lines = text.splitlines(keepends=True)
    for directive, value in directives.items():
        (index,) = (i for i, line in enumerate(lines) if line.split()[:1] == [directive])
        lines[index] = f"{directive} {value}\n"
    return "".join(lines)

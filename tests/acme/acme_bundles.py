"""Bundles whose certificate comes from the fake internet, and their helper on its own."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509

from tests.acme.internet import TOKEN, Internet
from tests.support.engine import docker, try_docker
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

HOMESERVER: Final = "matrix.example.test"
# Seconds until a certificate must be there.
ISSUED_WITHIN: Final = 60
SETTINGS: Final = """\
server_name: example.test
email: you@example.test
certificates: {{issuer: "{issuer}", token: token, root: pebble.pem, fail: 1/6}}
"""
PATCHES: Final = Path(__file__).parent / "helper_patches"
# Seconds: what a distant server may lack, what must be there, what is waited where nothing is seen. And
# the part of every sleep that is slept.
WAITS: Final = {
    "TEST_FLOOR": "0",
    "TEST_CEILING": "15",
    "TEST_BLIND": "10",
    "TEST_PACE": "0.1",
}


def generate_bundle(
    folder: Path,
    name: str,
    internet: Internet,
    *,
    authority: str = "pebble",
    tunnel: bool = False,
    more: str = "",
) -> Stack:
    """Generate a bundle for example.test that gets its certificate in the fake internet.

    `more` is added to its settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "pebble.pem").write_bytes(internet.trust.read_bytes())
    settings = SETTINGS.format(issuer=internet.directory(authority)) + more
    stack = generate(folder, name, settings, tunnel=tunnel)
    override = stack.directory / "compose.override.yaml"
    content = (yaml.safe_load(override.read_text()) if override.exists() else None) or {}
    services = content.setdefault("services", {})
    services["helper"] = connect(internet)
    if "\nbackup:" in settings:
        services["backup"] = patch()
    content["networks"] = {"internet": {"external": True, "name": internet.network}}
    override.write_text(yaml.safe_dump(content))
    return stack


def connect(internet: Internet, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the part of a Compose file that puts the helper into the fake internet."""
    return {
        "dns": [internet.resolver],
        "networks": {"web": {}, "internet": {}},
        **patch({"CLOUDFLARE_BASE_URL": internet.api, **(environment or {})}),
    }


def patch(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the part of a Compose file that changes a service's processes, with more variables."""
    return {
        "volumes": [f"{PATCHES}:/patches:ro"],
        "environment": {"PYTHONPATH": "/patches", **WAITS, **(environment or {})},
    }


def change_helper(stack: Stack, **changes: Any) -> None:
    """Change the helper's override: mappings are merged, lists are extended."""
    override = stack.directory / "compose.override.yaml"
    content = yaml.safe_load(override.read_text())
    helper = content["services"]["helper"]
    for key, value in changes.items():
        helper[key] = helper[key] | value if isinstance(value, dict) else helper[key] + value
    override.write_text(yaml.safe_dump(content))


def hasten_probes(stack: Stack, *services: str) -> None:
    """Let the probes of services follow each other sooner; what a probe is and how many must fail stays."""
    override = stack.directory / "compose.override.yaml"
    content = yaml.safe_load(override.read_text())
    for service in services:
        content["services"].setdefault(service, {})["healthcheck"] = {"interval": "2s"}
    override.write_text(yaml.safe_dump(content))


@dataclass(frozen=True, kw_only=True)
class LoneHelper:
    """The helper of a real bundle on its own: no database, no Synapse, no Apache."""

    stack: Stack

    def start(self) -> None:
        """Start it on its volumes, with the owner that `bootstrap` gives them."""
        own = ["--cap-add", "CHOWN", "--user", "0:0", "--entrypoint", "chown"]
        paths = ["993:993", "/certificates", "/etc/letsencrypt"]
        self.stack.compose("run", "--rm", "--no-deps", *own, "helper", *paths)
        self.restart()

    def restart(self) -> None:
        """Start it again, with what the override says now."""
        self.stack.compose("up", "--detach", "--no-deps", "--force-recreate", "helper")

    def remove(self) -> None:
        """Remove it with its volumes."""
        self.stack.compose("down", "--volumes", "--timeout", "0", check=False)

    def certificates(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `certificates` in it, as an operator would."""
        command = ["exec", "--no-TTY", "helper", "bundle-helper", "certificates", *arguments]
        return self.stack.compose(*command, check=options.get("check", False))

    def status(self) -> Any:
        """Return what `certificates status --json` says."""
        done = self.certificates("status", "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"problem": None, "output": done.stdout + done.stderr}

    def renew(self) -> subprocess.CompletedProcess[str]:
        """Ask for a renewal now."""
        return self.certificates("renew")

    def logs(self) -> str:
        """Return all it printed."""
        done = self.stack.compose("logs", "--no-color", "helper", check=False)
        return done.stdout + done.stderr

    def wait_issued(
        self, *, other_than: str = "", patience: int = ISSUED_WITHIN
    ) -> x509.Certificate:
        """Wait for a certificate of an authority that is not the bundle's own."""
        self._wait_for(lambda: self.is_issued(other_than), "it is issued", patience)
        return read_live(self.stack)[0]

    def is_issued(self, other_than: str = "") -> bool:
        """Return whether a pebble issued what is live."""
        certificates = read_live(self.stack)
        return bool(certificates) and is_foreign(certificates[0], other_than)

    def wait_problem(self, *words: str) -> str:
        """Wait until the status reports a problem with all the words, and return it."""

        def reports() -> bool:
            text = find_problem(self.status()).lower()
            return all(word.lower() in text for word in words)

        self._wait_for(reports, f"the status reports {words}", ISSUED_WITHIN)
        return find_problem(self.status())

    def _wait_for(self, condition: Callable[[], bool], what: str, patience: float) -> None:
        try:
            wait_for(condition, what, patience)
        except AssertionError as error:
            error.add_note(f"{self.status()}\n{self.logs()}")
            raise


def find_problem(status: Any) -> str:
    """Return the whole status as text where it reports a problem."""
    return json.dumps(status) if status else ""


def is_foreign(certificate: x509.Certificate, other_than: str = "") -> bool:
    """Return whether a pebble issued a certificate, and it is not the named serial."""
    issuer = certificate.issuer.rfc4514_string()
    return "Pebble" in issuer and f"{certificate.serial_number:x}" != other_than


def read_live(stack: Stack, name: str = "live.pem") -> list[x509.Certificate]:
    """Return the published chain, or nothing, whether the helper runs or not."""
    pem = read_file(stack, name)
    return x509.load_pem_x509_certificates(pem) if pem else []


def read_file(stack: Stack, name: str) -> bytes:
    """Return a file of the certificates volume, or nothing."""
    container = stack.container("helper")
    command = ["docker", "cp", f"{container}:/certificates/{name}", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return b""
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        member = archive.extractfile(archive.getmembers()[0])
        return member.read() if member else b""


def write_file(stack: Stack, content: bytes, name: str = "live.pem") -> None:
    """Put a file into the certificates volume as the helper would, by rename."""
    script = f"cat > /certificates/.x && chmod 640 /certificates/.x && chgrp 33 /certificates/.x && mv /certificates/.x /certificates/{name}"
    command = ["docker", "exec", "--interactive", stack.container("helper"), "sh", "-c", script]
    subprocess.run(command, input=content, check=True)


def copy_faketime(internet: Internet, folder: Path) -> Path:
    """Return the library that moves a process's clock, taken from the fakes' image."""
    source = docker("exec", internet.name, "sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1")
    target = folder / "libfaketime.so.1"
    docker("cp", f"{internet.name}:{source}", str(target))
    target.chmod(0o755)
    return target


def kill(container: str) -> None:
    """End a container's first process at once; it may have ended already."""
    try_docker("kill", "--signal", "KILL", container)

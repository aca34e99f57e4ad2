"""The tunnel's configuration as the real cloudflared judges it, without a network."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from synapse_bundle import planning, topology
from synapse_bundle.credentials import collection
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.bundles import interpolate
from tests.settings import DIRECTORY, SHAPES
from tests.support import cloudflared

pytestmark = pytest.mark.cloudflared

TUNNELS = [chosen for chosen in map(loading.load, SHAPES) if chosen.tunnel]
# Seconds; each answer takes a tenth of one on a machine that is idle.
PATIENCE = 240
PATHS = (
    "",
    "/",
    "/_matrix/client/versions",
    "/_matrix/federation/v1/version",
    "/_matrix/key/v2/server",
    "/_matrix/media/v3/upload",
    "/_synapse/client/password_reset",
    "/.well-known/matrix/client",
    "/.well-known/matrix/server",
    "/.well-known/matrix/support",
)
# A network of its own, where nothing is, keeps the start from reaching Cloudflare.
ALONE = ("unshare", "--net", *(("--user", "--map-root-user") if os.geteuid() else ()))
LOOK_UP = "Could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com"


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A generated configuration on this machine, and the program that judges it."""

    program: Path
    settings: Settings
    file: Path
    command: tuple[str, ...]
    environment: dict[str, str]

    def ask(self, *arguments: str) -> str:
        """Return what cloudflared prints about the configuration; it must not fail."""
        command = [str(self.program), "tunnel", "--config", str(self.file), *arguments]
        done = self.run(command, {})
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self) -> str:
        """Return what cloudflared logs when it runs as in the bundle; it ends by itself."""
        done = self.run([*ALONE, str(self.program), "--no-autoupdate", *self.command],
                        self.environment)  # fmt: skip
        assert done.returncode == 1, done.stdout
        return done.stdout

    def run(
        self, command: list[str], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with both its outputs in one."""
        return subprocess.run(
            command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real cloudflared."""
    return cloudflared.provide(tmp_path_factory.mktemp("program"))


def place(settings: Settings, program: Path, directory: Path, **edits: Any) -> Tunnel:
    """Put a bundle's tunnel on this machine; edits change the rule or, as `origin`, its origin."""
    secrets = collection.collect(directory, settings, DIRECTORY)
    files = {str(f.path): f.content.decode() for f in planning.plan(settings, secrets, {}).files}
    for name in ("secrets/tunnel.json", "secrets/trust.pem", "cloudflared/config.yaml"):
        text = files[name].replace(f"{topology.SECRETS}/", f"{directory}/secrets/")
        # The helper releases it unchanged.
        text = text.replace(topology.HELPER.released, f"{directory}/secrets/tunnel.json")
        if edits and name == "cloudflared/config.yaml":
            content = yaml.safe_load(text)
            content["ingress"][0]["originRequest"].update(edits.pop("origin", {}))
            content["ingress"][0].update(edits)
            text = yaml.safe_dump(content)
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    service = interpolate(yaml.safe_load(files["compose.yaml"]))["services"]["cloudflared"]
    inside = topology.CLOUDFLARED.configuration
    command = [part.replace(inside, f"{directory}/cloudflared") for part in service["command"]]
    return Tunnel(
        program=program, settings=settings, file=directory / "cloudflared/config.yaml",
        command=tuple(command), environment=service["environment"],
    )  # fmt: skip


def judge_rules(tunnel: Tunnel) -> None:
    """Every key is known, every rule valid; the public name leads to Apache, others nowhere."""
    answer = tunnel.ask("ingress", "validate")
    assert answer.rstrip().endswith("OK"), answer
    check_keys(answer)
    own = tunnel.settings.homeserver
    apache = f"https://{topology.APACHE.host}:{topology.APACHE.port}"
    for path in PATHS:
        answer = tunnel.ask("ingress", "rule", f"https://{own}{path}")
        assert re.search(rf"Matched rule #0\n\thostname: {own}\n\tservice: {apache}\n", answer), (
            answer
        )
    for stranger in {f"x.{own}", f"x{own}", "apache", tunnel.settings.server_name} - {own}:
        for path in PATHS[-2:]:
            answer = tunnel.ask("ingress", "rule", f"https://{stranger}{path}")
            assert re.search(r"Matched rule #1\n\tservice: http_status:404\n", answer), answer


def judge_start(tunnel: Tunnel) -> None:
    """It starts with the bundle's command, environment and credential, as far as the network."""
    log = tunnel.start()
    check_keys(log)
    assert f"Starting tunnel tunnelID={yaml.safe_load(tunnel.file.read_text())['tunnel']}" in log
    known = re.search(r"Environmental variables map\[(.*)\]", log)
    assert known, log
    assert sorted(known[1].split()) == sorted(f"{k}:{v}" for k, v in tunnel.environment.items())
    assert log.splitlines()[-1].startswith(LOOK_UP), log


def check_keys(answer: str) -> None:
    """Require that no key was unknown or could not be read."""
    assert not re.search(r"(?i)unused|unknown|unmarshal|not found in type", answer), answer


@pytest.fixture(params=TUNNELS, ids=lambda chosen: f"{chosen.server_name}-{chosen.project}")
def tunnel(request: pytest.FixtureRequest, program: Path, tmp_path: Path) -> Tunnel:
    """The tunnel of every settings file that has one."""
    return place(request.param, program, tmp_path)


def test_it_accepts_every_key_and_leads_the_public_name_to_apache(tunnel: Tunnel) -> None:
    """The rules are what the settings mean, for every public path."""
    judge_rules(tunnel)


def test_it_starts_up_to_the_look_up_of_its_edge(tunnel: Tunnel) -> None:
    """Nothing but the missing network ends it."""
    judge_start(tunnel)


@pytest.mark.parametrize(
    "edits",
    [
        {"unknown": "key"},
        {"hostname": "other.example.org"},
        {"hostname": "matrix.*.org"},
        {"hostname": "matrix.example.org:443"},
        {"service": "https://apache:443/"},
        {"service": "apache:443"},
        {"path": "^/_matrix/"},
        {"origin": {"originServername": "matrix.example.org"}},
        {"origin": {"connectTimeout": "10 s"}},
        {"origin": {"keepAliveTimeot": "90s"}},
    ],
    ids=str,
)
def test_a_wrong_rule_is_noticed(edits: dict[str, Any], program: Path, tmp_path: Path) -> None:
    """Each of the mistakes that these tests are for makes them fail."""
    tunnel = place(TUNNELS[0], program, tmp_path, **edits)
    with pytest.raises(AssertionError):
        judge_rules(tunnel)


@pytest.mark.parametrize("homeserver", ["matrix.example.org:443", "https://matrix.example.org"])
def test_wrong_settings_are_noticed(homeserver: str, program: Path, tmp_path: Path) -> None:
    """A name that got past the settings would not get past cloudflared."""
    wrong = TUNNELS[0].model_copy(update={"homeserver": homeserver})
    with pytest.raises(AssertionError):
        judge_rules(place(wrong, program, tmp_path))


@pytest.mark.parametrize("damage", ["credential", "duration", "variable"])
def test_a_wrong_start_is_noticed(damage: str, program: Path, tmp_path: Path) -> None:
    """What would keep cloudflared from running in the bundle makes the test fail."""
    edits = {"origin": {"connectTimeout": "10 s"}} if damage == "duration" else {}
    tunnel = place(TUNNELS[0], program, tmp_path, **edits)
    if damage == "credential":
        (tmp_path / "secrets/tunnel.json").write_text("{")
    if damage == "variable":
        tunnel.environment["TUNNEL_GRACE_PERIOD"] = "30"
    with pytest.raises(AssertionError):
        judge_start(tunnel)

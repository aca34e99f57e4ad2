"""A running bundle is confined: its containers may do little, and its secrets stay inside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

import pytest
import yaml

from tests.stack.accounts import Person, register
from tests.stack.fault_injection import ask_database
from tests.support.engine import docker
from tests.support.matrix import CLIENT, LOGIN, build_login
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine

# Half a million pairs, in a process with the allocator and the environment of Synapse.
COUNT: Final = """\
allocator=$(cat /proc/[0-9]*/environ | tr '\\0' '\\n' | sed -n 's/^LD_PRELOAD=//p' | head -n 1)
LD_PRELOAD=$allocator exec python -c '
from synapse.metrics import jemalloc
jemalloc._setup_jemalloc_stats()
statistics = jemalloc.get_jemalloc_stats()
statistics.refresh_stats()
before = statistics.get_stat("allocated")
kept = [(number, str(number)) for number in range(500_000)]
statistics.refresh_stats()
print(statistics.get_stat("allocated") - before)
'
"""

USERS: Final = {
    "postgres": "999:999",
    "bootstrap": "0:0",
    "synapse": "991:991",
    "helper": "993:993",
    "apache": "33:33",
    "cloudflared": "65532:65532",
}
# The containers that have a program to look with; cloudflared has no other than its own.
LOOKED_INTO: Final = ("postgres", "synapse", "helper", "apache")
PUBLIC_SECRETS: Final = {"authority.pem", "trust.pem"}


def read_inside(stack: Stack, service: str, path: str) -> str:
    """Return a file of a running container."""
    return stack.compose("exec", "--no-TTY", service, "cat", path).stdout


def test_the_engine_confines_every_container(stack: Stack) -> None:
    """Every container runs as its own user, read-only, without capabilities, within limits."""
    for service, container in stack.inspect_all().items():
        host = container["HostConfig"]
        assert container["Config"]["User"] == USERS[service]
        assert host["ReadonlyRootfs"] is True, service
        assert host["Privileged"] is False, service
        assert host["CapDrop"] == ["ALL"], service
        added = {name.removeprefix("CAP_") for name in host["CapAdd"] or []}
        assert added == ({"CHOWN"} if service == "bootstrap" else set()), service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert 0 < host["Memory"] <= 2 * 1024**3, service
        # Apache holds a thread for each long poll, in several generations of children.
        assert 0 < host["PidsLimit"] <= 4096, service
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, service
        assert host["RestartPolicy"]["Name"] == (
            "no" if service == "bootstrap" else "unless-stopped"
        )


def test_no_container_shares_more_with_the_host_than_it_must(stack: Stack) -> None:
    """No container sees the host's processes, network, devices or engine, nor leaves nameless volumes."""
    for service, container in stack.inspect_all().items():
        host = container["HostConfig"]
        modes = {host[mode] for mode in ("PidMode", "UTSMode", "UsernsMode", "NetworkMode")}
        assert "host" not in modes | {host["IpcMode"]}, service
        assert not host["Devices"], service
        binds = [mount for mount in container["Mounts"] if mount["Type"] == "bind"]
        assert [mount["Source"] for mount in binds if "docker" in mount["Source"]] == [], service
        # The bootstrap writes the server's id at the first start.
        written = ["/run/secrets/instance"] if service == "bootstrap" else []
        assert [mount["Destination"] for mount in binds if mount["RW"]] == written, service
        volumes = [mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"]
        assert [name for name in volumes if not name.startswith(f"{stack.project}_")] == [], service


@pytest.mark.parametrize("service", LOOKED_INTO)
def test_the_kernel_confines_every_process(stack: Stack, service: str) -> None:
    """The main process of a container has no capability, gains none and cannot write its root."""
    status = dict(
        line.split(":\t", 1) for line in read_inside(stack, service, "/proc/1/status").splitlines()
    )
    user = USERS[service].split(":")[0]
    assert status["Uid"].split("\t") == [user] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert re.search(r"^\S+ / \S+ ro,", read_inside(stack, service, "/proc/1/mounts"), re.MULTILINE)


def test_only_loopback_ports_are_published(stack: Stack) -> None:
    """Nothing listens on the network: Apache and Synapse are published on 127.0.0.1 alone."""
    bindings = [
        binding
        for container in stack.inspect_all().values()
        for ports in container["NetworkSettings"]["Ports"].values()
        for binding in ports or []
    ]
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
    # The third is the public side of the tunnel's double, in place of the internet.
    expected = {stack.https_port, stack.synapse_port, stack.tunnel_port} - {0}
    assert {int(binding["HostPort"]) for binding in bindings} == expected


def test_the_database_reaches_nothing_and_is_reached_by_few(stack: Stack) -> None:
    """PostgreSQL reaches nothing beyond its network, and only Synapse and bootstrap reach it."""
    routes = [
        line.split() for line in read_inside(stack, "postgres", "/proc/net/route").splitlines()
    ]
    assert [route for route in routes[1:] if route[1] == "00000000"] == []
    outward = ["bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80"]
    tried = stack.compose("exec", "--no-TTY", "postgres", *outward, check=False)
    assert "Network is unreachable" in tried.stderr
    network = json.loads(docker("network", "inspect", f"{stack.project}_database"))
    assert network[0]["Internal"] is True
    members = {c["Name"].split("-")[-2] for c in network[0]["Containers"].values()}
    assert members == {"postgres", "synapse"}


def test_the_database_was_made_as_synapse_needs_it(stack: Stack) -> None:
    """Checksums are on, the locale is C, and every connection needs a SCRAM password."""
    assert ask_database(stack, "postgres", "SHOW data_checksums") == "on"
    locales = ask_database(
        stack,
        "postgres",
        "SELECT DISTINCT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database",
    )
    assert locales == "UTF8|C|C"
    methods = ask_database(stack, "postgres", "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    assert methods == "scram-sha-256"
    verifiers = ask_database(
        stack, "postgres", "SELECT rolname, left(rolpassword, 14) FROM pg_authid WHERE rolcanlogin"
    )
    assert set(verifiers.splitlines()) == {
        "postgres|SCRAM-SHA-256$",
        "synapse_user|SCRAM-SHA-256$",
    }
    assert ask_database(stack, "synapse", "SELECT count(*) > 100 FROM pg_tables") == "t"


def read_secrets(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield every secret value of a bundle with the name of its file."""
    directory = stack.directory / "secrets"
    plain = {}
    for path in sorted(directory.iterdir()):
        match path.name:
            case "signing.key":
                yield path.name, stack.secret(path.name).split()[-1]
            case "authority.key":
                yield from ((path.name, line) for line in stack.secret(path.name).split("\n")[1:-1])
            case "tunnel.json":
                yield path.name, json.loads(stack.secret(path.name))["TunnelSecret"]
            case "synapse.yaml":
                continue
            case name if name not in PUBLIC_SECRETS:
                plain[name] = stack.secret(name)
    yield from plain.items()
    # Synapse's own file repeats secrets and holds no further one.
    derived = yaml.safe_load(stack.secret("synapse.yaml"))
    # Public halves, there once a test has replaced the shared bundle's signing key.
    derived.pop("old_signing_keys", None)
    repeated = {derived.pop("database")["args"]["password"], *derived.values()}
    assert repeated <= set(plain.values())


@pytest.fixture(scope="module")
def visible(stack: Stack) -> dict[str, str]:
    """Everything that a bundle shows to people who may not read its secrets, after some use."""
    person = use(stack)
    stack.check()
    containers = {service: c["Id"] for service, c in stack.inspect_all().items()}
    running = [container for service, container in containers.items() if service != "bootstrap"]
    images = stack.compose("images", "--quiet").stdout.split()
    return {
        "inspect": docker("inspect", *containers.values(), *images),
        "config": stack.compose("config").stdout,
        "logs": stack.compose("logs", "--no-color").stdout,
        "processes": "".join(docker("top", c, "axww") for c in running),
        "environments": "".join(
            read_inside(stack, service, "/proc/1/environ") for service in LOOKED_INTO
        ),
        "token": person.token,
    }


def use(stack: Stack) -> Person:
    """Use every secret that people use, and a token where it should not be: in a query."""
    person = register(stack)
    body = build_login(stack.admin, stack.secret("admin_password"))
    assert stack.ask("POST", LOGIN, body=body).status == 200
    assert stack.ask("GET", f"{CLIENT}/account/whoami?access_token={person.token}").status == 200
    assert stack.ask("GET", f"{CLIENT}/nothing?access_token={person.token}").status == 404
    return person


def test_no_secret_is_shown(stack: Stack, visible: dict[str, str]) -> None:
    """No secret is in what `docker inspect`, `config`, `logs` and `top` show, nor in an environment."""
    secrets = list(read_secrets(stack))
    kept = {path.name for path in (stack.directory / "secrets").iterdir()} - PUBLIC_SECRETS
    assert {name for name, _ in secrets} == kept - {"synapse.yaml"}
    assert min(len(value) for _, value in secrets) >= 16
    leaks = [
        (n, source) for n, value in secrets for source, text in visible.items() if value in text
    ]
    assert leaks == []


def test_what_is_shown_is_not_empty(stack: Stack, visible: dict[str, str]) -> None:
    """The search for secrets looks where they would be."""
    assert "homeserver.override.yaml" in visible["inspect"]
    assert "/run/secrets/postgres_password" in visible["config"]
    assert "/_matrix/client/v3/nothing" in visible["logs"]
    assert "apache2" in visible["processes"]
    assert f"HOMESERVER={stack.homeserver}" in visible["environments"]


def test_no_access_token_is_logged(visible: dict[str, str]) -> None:
    """An access token that a client puts into the address stays out of the logs."""
    assert visible["token"] not in visible["logs"]
    assert visible["token"].split("_")[2] not in visible["logs"]


def test_the_host_keeps_the_secrets_directory_to_its_owner(stack: Stack) -> None:
    """Other users of the host cannot enter the directory of the secrets."""
    assert (stack.directory / "secrets").stat().st_mode & 0o777 == 0o700


def test_addresses_in_the_tunnels_network_are_fixed(domain: Stack) -> None:
    """Apache cannot be given the address that cloudflared is trusted by."""
    for service in ("apache", "cloudflared"):
        network = domain.inspect(service)["NetworkSettings"]["Networks"][f"{domain.project}_tunnel"]
        assert network["IPAMConfig"]["IPv4Address"] == network["IPAddress"]
        assert ip_address(network["IPAddress"]).is_private


def test_the_count_that_empties_the_caches_sees_the_caches(trial: Stack) -> None:
    """Small Python objects are in jemalloc's count, by which Synapse judges max_cache_memory_usage."""
    counted = trial.compose("exec", "--no-TTY", "synapse", "sh", "-c", COUNT).stdout
    assert int(counted) > 40 * 1024**2


def test_profiles_are_for_those_who_are_signed_in(stack: Stack) -> None:
    """A stranger cannot see any profile, neither the administrator's nor that of `check`."""
    person = register(stack)
    for name in (stack.admin, "synapse-bundle-check"):
        path = f"/_matrix/client/v3/profile/@{name}:{stack.server_name}"
        assert stack.ask("GET", path).status == 401
        assert stack.ask("GET", path, token=person.token).status == 200


def test_synapse_starts_without_a_warning_about_its_files(trial: Stack) -> None:
    """An override that was never edited causes no warning."""
    assert "IGNORING" not in trial.compose("logs", "synapse").stdout

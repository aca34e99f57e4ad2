"""What holds for every bundle, whatever the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from synapse_bundle import images, mounted_inputs, planning, sizing, topology
from synapse_bundle.planning import Plan
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from synapse_bundle.settings.names import TRIAL
from tests.bundles import (
    STAND_INS,
    DrillLoader,
    fake_credentials,
    plan_settings,
    plan_shape,
    read_compose,
)
from tests.settings import BACKED_UP, EXTERNAL, SHAPES

# Why each service may have what the others may not.
CAPABILITIES = {
    "bootstrap": ["CHOWN"],
    # It becomes the owner of the bundle's folder before it does anything.
    "backup": ["CHOWN", "SETUID", "SETGID"],
    # It reads a repository of any owner, and gives the media to Synapse.
    "restore": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
}
RUNS_AS_ROOT = {"bootstrap", "backup", "restore"}
RUNS_ONCE = {"bootstrap", "restore"}
# Started by a command, or kept running for the schedule; the helper reports what does not end.
BACKUP = "backup"
SEES_THE_FOLDER = {"backup", "restore"}
WRITES_THE_INSTANCE = {"bootstrap", "restore"}
HOST_ONLY = {
    *("compose.yaml", "compose.override.yaml", "cluster.yaml", "drill.yaml", "README.md"),
}
# What runs at Cloudflare; only this machine asks for localhost.
ELSEWHERE = {"worker/worker.js", "worker/wrangler.json"}


@pytest.fixture(params=SHAPES, ids=lambda path: path.stem)
def plan(request: pytest.FixtureRequest) -> Plan:
    """Every supported shape in turn."""
    shape: Path = request.param
    return plan_shape(shape)


@pytest.fixture
def model(plan: Plan) -> dict[str, Any]:
    """The parsed compose.yaml of the shape."""
    return read_compose(plan)


@pytest.fixture(params=BACKED_UP, ids=lambda path: path.stem)
def backed_up(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The parsed compose.yaml of every shape that runs its own database, and backs it up."""
    shape: Path = request.param
    return read_compose(plan_shape(shape))


@pytest.fixture
def contents(plan: Plan) -> dict[str, str]:
    """The text of every file but the image contexts."""
    return {
        str(file.path): file.content.decode()
        for file in plan.files
        if file.path.parts[0] != "images"
    }


def binds(service: dict[str, Any]) -> list[str]:
    """Return the paths in the bundle that a service mounts, one by one."""
    sources = [m["source"] for m in service["volumes"] if m["type"] == "bind"]
    return [source.removeprefix("./") for source in sources if source != "."]


def reads(service: dict[str, Any]) -> list[str]:
    """Return what a service mounts, and what its environment names in a folder mounted as a whole."""
    targets = [m["target"] for m in service["volumes"] if m["source"] == "."]
    named = [
        PurePosixPath(value).relative_to(target)
        for target in targets
        for value in service["environment"].values()
        if value != target and PurePosixPath(value).is_relative_to(target)
    ]
    return [*binds(service), *map(str, named)]


def is_repository(mount: dict[str, Any]) -> bool:
    """Return whether a mount is the folder that backups are kept in."""
    return bool(mount["target"] == topology.BACKUP.repository)


def is_scheduled(model: dict[str, Any]) -> bool:
    """Return whether the service that makes backups keeps running."""
    return BACKUP in model["services"] and "profiles" not in model["services"][BACKUP]


def name_database(model: dict[str, Any]) -> str:
    """Return the host that the bootstrap looks for the database at."""
    return str(model["services"]["bootstrap"]["environment"]["DATABASE_HOST"])


def iterate_services(model: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every service with its name."""
    yield from model["services"].items()


def test_every_mount_is_a_planned_file_and_every_planned_file_is_used(
    plan: Plan, model: dict[str, Any]
) -> None:
    """No mount points to nothing, and every file is used."""
    sources = {source for _, service in iterate_services(model) for source in reads(service)}
    # What lies elsewhere on the machine is the operator's: a certificate, a disk for backups.
    sources = {source for source in sources if not source.startswith("/")} - {"backups"}
    paths = {str(file.path) for file in plan.files if file.path.parts[0] != "images"}
    unmet = {s for s in sources if not any(p == s or p.startswith(f"{s}/") for p in paths)}
    assert unmet == set()
    derived = {"secrets/macaroon_secret_key", "secrets/form_secret"}
    if "valkey" in model["services"]:
        derived |= {"secrets/worker_replication_secret", "secrets/valkey_password"}
    unused = {p for p in paths if not any(p == s or p.startswith(f"{s}/") for s in sources)}
    elsewhere = set() if plan.server_name == TRIAL else ELSEWHERE
    without = set() if BACKUP in model["services"] else {"drill.yaml"}
    assert unused == (HOST_ONLY | derived | elsewhere) - without


def test_mounts_are_read_only_and_never_invented(model: dict[str, Any]) -> None:
    """A bind mount is read-only, and a missing source is an error, not a new directory."""
    for name, service in iterate_services(model):
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                # The server's id is written there at the first start, and by a restore.
                instance = mount["source"] == "./secrets/instance" and name in WRITES_THE_INSTANCE
                written = instance or (is_repository(mount) and name in SEES_THE_FOLDER)
                assert mount.get("read_only", False) is not written, name
                # The bundle's own folder for backups is made when the first one is.
                made = is_repository(mount) and mount["source"].startswith("./")
                assert mount["bind"] == {"create_host_path": made}, name


def test_who_sees_the_whole_folder_sees_it_read_only(model: dict[str, Any]) -> None:
    """Only backup and restore see the folder as a whole, and neither can write to it."""
    for name, service in iterate_services(model):
        whole = [m for m in service["volumes"] if m["source"] == "."]
        assert bool(whole) == (name in SEES_THE_FOLDER), name
        assert all(m["read_only"] is True for m in whole), name


def test_backup_and_bootstrap_read_where_this_copy_stands(backed_up: dict[str, Any]) -> None:
    """Where a name is claimed both see the claim's memory, backup read-only, and a restore does not."""
    model = backed_up
    claimed = "DNS_TOKEN_FILE" in model["services"]["helper"]["environment"]
    for name, read_only in (("bootstrap", False), (BACKUP, True), ("restore", None)):
        service = model["services"][name]
        mounts = [m for m in service["volumes"] if m["source"] == "claim" and claimed]
        assert [m.get("read_only", False) for m in mounts] == (
            [read_only] if claimed and read_only is not None else []
        ), name
        expected = mounts[0]["target"] if mounts else "none"
        assert service["environment"]["CLAIM_DIRECTORY"] == expected, name


def test_no_run_leaves_a_volume_behind(backed_up: dict[str, Any]) -> None:
    """The volume that PostgreSQL's image declares is covered wherever that image is in use."""
    assert_covered(backed_up, topology.POSTGRES)


def assert_covered(model: dict[str, Any], postgres: topology.Postgres) -> None:
    """The server has its data there, or nothing as the others."""
    for name in ("postgres", *SEES_THE_FOLDER):
        service = model["services"][name]
        mounts = [mount.partition(":")[0] for mount in service["tmpfs"]]
        mounts += [mount["target"] for mount in service["volumes"]]
        assert mounts.count(postgres.declared_volume) == 1, name


def test_a_bundle_keeps_the_major_version_of_its_data() -> None:
    """Image, directory and the programs of its backups are of one version, as that image has them."""
    secrets = fake_credentials(Settings())
    model = read_compose(planning.plan(Settings(), secrets, {}, 17))
    postgres = model["services"]["postgres"]
    assert (postgres["image"], postgres["environment"]["PGDATA"]) == (
        "postgres:17-trixie",
        "/var/lib/postgresql/17/docker",
    )
    assert not [word for word in postgres["command"] if "io_method" in word]
    backup, newest = (each["services"]["backup"] for each in (model, read_compose(plan_settings(Settings()))))  # fmt: skip
    assert backup["build"]["args"] == {"POSTGRES_IMAGE": "postgres:17-trixie"}
    assert backup["image"] != newest["image"]
    assert backup["environment"]["IMAGES"].startswith("postgres=postgres:17-trixie ")
    assert "postgres:17-trixie=" in model["services"]["helper"]["environment"]["IMAGE_PINS"]
    assert_covered(model, topology.POSTGRES.of_version(17))


def test_a_repository_in_the_bundle_is_not_in_its_own_sets(backed_up: dict[str, Any]) -> None:
    """A folder of the bundle is excluded, by the path that it has in the container; no other is."""
    for name in SEES_THE_FOLDER:
        service = backed_up["services"][name]
        excluded = service["environment"]["BACKUP_EXCLUDE"]
        mounts = [m["source"] for m in service["volumes"] if is_repository(m)]
        inside = [m for m in mounts if m.startswith("./")]
        expected = f"{topology.BACKUP.bundle}/{inside[0][2:]}" if inside else "none"
        assert excluded == expected, name


def test_backups_are_scheduled_or_by_hand(backed_up: dict[str, Any]) -> None:
    """Without a time, `up` starts nothing that makes backups; a restore is always by hand."""
    model = backed_up
    backup, restore = model["services"][BACKUP], model["services"]["restore"]
    at = backup["environment"]["BACKUP_AT"]
    assert is_scheduled(model) == (at != "none")
    assert restore["profiles"] == ["tools"]
    assert backup["restart"] == ("no" if at == "none" else "unless-stopped")
    helper = model["services"]["helper"]["environment"]
    for name in ("BACKUP_AT", "BACKUP_DRILL"):
        assert helper[name] == backup["environment"][name], name
    directory = PurePosixPath(backup["environment"]["REPORT_DIRECTORY"])
    assert PurePosixPath(helper["BACKUP_REPORT_FILE"]).parent == directory
    for service in (model["services"]["helper"], backup):
        assert any(directory.is_relative_to(mount["target"]) for mount in service["volumes"])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_no_folder_of_the_bundle_can_be_a_repository(shape: Path) -> None:
    """Whatever is at the top of a bundle is refused as a place for backups."""
    for name in {file.path.parts[0] for file in plan_shape(shape).files} | {".manifest.json"}:
        for place in (f"./{name}", f"./{name}/inside"):
            with pytest.raises(ValidationError, match="is the bundle's own"):
                Settings.model_validate({"backup": {"repository": place}})


def test_every_path_in_a_configuration_is_mounted(
    contents: dict[str, str], model: dict[str, Any]
) -> None:
    """A path under /run/secrets that a file or the environment names exists in that container."""
    for name, service in iterate_services(model):
        targets = {mount["target"] for mount in service["volumes"]}
        texts = [json.dumps(service.get("environment", {})), json.dumps(service.get("command", ""))]
        texts += [
            text
            for path, text in contents.items()
            if any(path == s or path.startswith(f"{s}/") for s in binds(service))
        ]
        named = {found for text in texts for found in re.findall(r"/run/secrets/[\w.]+", text)}
        assert named <= targets, name


def test_every_secret_that_is_mounted_is_named(
    contents: dict[str, str], model: dict[str, Any]
) -> None:
    """No container sees a secret that nothing in it asks for."""
    for name, service in iterate_services(model):
        text = json.dumps([service.get("environment"), service.get("command")])
        text += "".join(
            content
            for path, content in contents.items()
            if any(path == s or path.startswith(f"{s}/") for s in binds(service))
        )
        for mount in service["volumes"]:
            if mount["target"].startswith("/run/secrets/"):
                assert mount["target"] in text, (name, mount["target"])


def test_each_own_image_is_built_by_one_service(model: dict[str, Any]) -> None:
    """Two builds of one tag at once give two images, and every `up` could recreate a container.

    What a command starts builds its image by itself: it may be the first in its bundle.
    """
    services = [s for _, s in iterate_services(model) if "profiles" not in s]
    assert all("build" in s for _, s in iterate_services(model) if "profiles" in s)
    built = [service["image"] for service in services if "build" in service]
    own = {service["image"] for service in services if service["image"].startswith("synapse-b")}
    assert sorted(built) == sorted(own)


def test_own_images_are_never_pulled(model: dict[str, Any]) -> None:
    """Compose asks the public registry first for an image that it could build.

    Whoever registered the name there would decide what runs here.
    """
    own = [s for _, s in iterate_services(model) if s["image"].startswith("synapse-bundle/")]
    assert own
    assert {service.get("pull_policy") for service in own} == {"never"}


@pytest.mark.parametrize(
    ("name", "holders"),
    [
        ("postgres_password", {"postgres", "bootstrap"} | SEES_THE_FOLDER),
        ("backup_password", SEES_THE_FOLDER),
        ("backup_credentials", SEES_THE_FOLDER),
        ("backup_ssh_key", SEES_THE_FOLDER),
    ],
)
def test_a_powerful_secret_reaches_few_services(
    name: str, holders: set[str], plan: Plan, model: dict[str, Any]
) -> None:
    """The superuser's password and what opens the backups are where they are needed only."""
    exists = any(file.path == PurePosixPath("secrets", name) for file in plan.files)
    found = {n for n, s in iterate_services(model) if f"secrets/{name}" in reads(s)}
    assert found == (holders if exists else set())


@pytest.mark.parametrize("shape", EXTERNAL, ids=lambda path: path.stem)
def test_an_external_database_is_proved_and_nothing_more(shape: Path) -> None:
    """No PostgreSQL, no superuser, and nothing that would need one; only the bootstrap has its password."""
    plan = plan_shape(shape)
    model, files = read_compose(plan), {str(file.path): file for file in plan.files}
    assert not {"postgres", *SEES_THE_FOLDER} & set(model["services"])
    assert not {"postgres", "backup"} & set(model["volumes"])
    kept = {
        "secrets/postgres_password",
        "secrets/backup_password",
        "drill.yaml",
        "synapse/drill.yaml",
    }
    assert not kept & set(files)
    assert not [path for path in files if path.startswith("postgres/")]
    environment = model["services"]["bootstrap"]["environment"]
    assert "SUPERUSER_PASSWORD_FILE" not in environment
    arguments = yaml.safe_load(files["secrets/synapse.yaml"].content)["database"]["args"]
    for key, variable in (
        *(("host", "HOST"), ("port", "PORT"), ("database", "NAME"), ("user", "ROLE")),
        *(("sslmode", "SSLMODE"), ("sslrootcert", "ROOT_FILE")),
    ):
        assert str(arguments[key]) == environment[f"DATABASE_{variable}"], key
    password = PurePosixPath(environment["ROLE_PASSWORD_FILE"]).name
    assert files[f"secrets/{password}"].content.decode().strip() == arguments["password"]
    holders = {n for n, s in iterate_services(model) if f"secrets/{password}" in binds(s)}
    assert holders == {"bootstrap"}


def test_without_a_root_none_is_named() -> None:
    """A database in a network of one's own may do without TLS, or without a proof of it."""
    for sslmode in ("disable", "require"):
        database = {"host": "10.0.0.5", "password": "file", "sslmode": sslmode}
        plan = plan_settings(Settings.model_validate({"database": database}))
        files = {str(file.path): file.content for file in plan.files}
        arguments = yaml.safe_load(files["secrets/synapse.yaml"])["database"]["args"]
        assert arguments["sslmode"] == sslmode
        assert "sslrootcert" not in arguments
        environment = read_compose(plan)["services"]["bootstrap"]["environment"]
        assert environment["DATABASE_ROOT_FILE"] == "none"
        assert "secrets/database_root.pem" not in files


def test_only_loopback_is_published(model: dict[str, Any]) -> None:
    """No port is published but on 127.0.0.1, and only by Synapse and Apache."""
    ports = {
        name: service["ports"] for name, service in iterate_services(model) if "ports" in service
    }
    assert set(ports) == {"synapse", "apache"}
    for published in ports.values():
        assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)


def test_every_service_has_the_least_privilege(model: dict[str, Any]) -> None:
    """Each service drops all capabilities, gains none, writes nowhere, and has its limits."""
    for name, service in iterate_services(model):
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == CAPABILITIES.get(name, []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        uid, gid = service["user"].split(":")
        assert uid == gid, name
        assert (uid == "0") == (name in RUNS_AS_ROOT), name
        forbidden = {"privileged", "network_mode", "pid", "ipc", "devices", "env_file", "secrets"}
        assert not forbidden & set(service), name


def test_no_docker_socket(plan: Plan) -> None:
    """No container can talk to the engine."""
    assert b"docker.sock" not in b"".join(file.content for file in plan.files)


def test_every_service_survives_an_unordered_reboot(model: dict[str, Any]) -> None:
    """What runs is restarted by the engine; what runs once is not."""
    for name, service in iterate_services(model):
        once = name in RUNS_ONCE or (name == BACKUP and not is_scheduled(model))
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in RUNS_ONCE | {BACKUP}), name


def test_every_service_is_ended_when_it_hangs(model: dict[str, Any]) -> None:
    """A health check ends a main process that gives no answer, by itself and before Docker ends it.

    Docker restarts no unhealthy container, and the first process cannot be killed from inside.
    """
    for name, service in iterate_services(model):
        assert service["init"] is True, name
        if name in RUNS_ONCE | {BACKUP}:
            continue
        check = service["healthcheck"]
        if name == "helper":
            # It ends the service by itself: bundle_helper.liveness.
            assert check["test"] == ["CMD", "python3", "-m", "bundle_helper.health"]
            continue
        words = check["test"]
        assert "health" in binds(service), name
        # The gate is a health check that ends in that script.
        script = "gate.sh probe" if name == "cloudflared" else "probe.sh"
        assert f"sh /srv/health/{script}" in " ".join(words), name
        assert any(mount.startswith("/run/health:") for mount in service["tmpfs"]), name
        limit = re.search(r"(?:timeout|--timeout|--max-time)[ =](\d+)", " ".join(words))
        assert limit, name
        assert 0 < int(limit[1]) < int(check["timeout"].removesuffix("s")), name
        # Three silences and a start: about two minutes.
        interval = int(check["interval"].removesuffix("s"))
        assert check["retries"] * (interval + int(limit[1])) <= 90, name


def test_bootstrap_waits_as_long_as_postgresql_may_take(backed_up: dict[str, Any]) -> None:
    """A crash recovery that the health check bears does not fail the bootstrap either."""
    postgres, bootstrap = backed_up["services"]["postgres"], backed_up["services"]["bootstrap"]
    patience = bootstrap["environment"]["DATABASE_PATIENCE"]
    assert postgres["healthcheck"]["start_period"] == f"{patience}s"


@pytest.mark.parametrize("memory", [1, 2, 4, 8, 16, 64])
def test_postgresqls_memory_fits_its_limits(memory: int) -> None:
    """What a parallel VACUUM shares fits into /dev/shm, and that beside the buffers into the limit."""
    settings = Settings.model_validate({"memory": f"{memory}G"})
    postgres = read_compose(plan_settings(settings))["services"]["postgres"]
    options = dict(word.lstrip("-").split("=") for word in postgres["command"][1:])
    work, buffers = (
        int(options[name].removesuffix("MB")) for name in ("maintenance_work_mem", "shared_buffers")
    )
    shared = int(postgres["shm_size"].removesuffix("m"))
    assert work < shared
    assert buffers + shared < int(postgres["mem_limit"].removesuffix("m"))


def test_the_limits_add_up_to_what_the_documents_say(repository: Path) -> None:
    """`memory` is what three services share; what the limits of all add up to is given beside it."""
    limits = {
        name: int(service["mem_limit"].removesuffix("m"))
        for name, service in iterate_services(read_compose(plan_settings(Settings())))
        if name not in RUNS_ONCE | {BACKUP}
    } | {"cloudflared": sizing.share_out(Settings().memory).cloudflared}
    text = (repository / "docs" / "settings.md").read_text()
    assert f"add up to {sum(limits.values())} MiB at `2G`" in text
    assert f"helper {limits['helper']} and cloudflared {limits['cloudflared']} MiB" in text
    assert f"{sizing.share_out(Settings().memory).backup} MiB for backup or restore" in text


def test_dependencies_on_health_have_a_health_check(model: dict[str, Any]) -> None:
    """No service waits for a health that is never reported."""
    for _, service in iterate_services(model):
        wanted = service.get("depends_on", {})
        for other, how in wanted.items() if isinstance(wanted, dict) else ():
            assert (
                how["condition"] != "service_healthy" or "healthcheck" in model["services"][other]
            )


def test_networks_keep_the_database_and_the_tunnel_apart(model: dict[str, Any]) -> None:
    """The database has no way out, and the tunnel's network holds cloudflared and Apache alone.

    A database outside is reached by those that use it, through a network that nobody else is in.
    """
    own = name_database(model) == "postgres"
    assert model["networks"]["database"] == ({"internal": True} if own else {})
    members: dict[str, set[str]] = {}
    for name, service in iterate_services(model):
        for network in service["networks"]:
            members.setdefault(network, set()).add(name)
    workers = {name for name in model["services"] if name.startswith("synapse-")}
    runs = {"postgres"} | SEES_THE_FOLDER if own else set()
    assert members["database"] == {"bootstrap", "synapse"} | workers | runs
    # Only a repository elsewhere needs a way out.
    environment = model["services"].get(BACKUP, {}).get("environment", {})
    remote = environment.get("BACKUP_REPOSITORY", "") not in {"", topology.BACKUP.repository}
    assert members["web"] & SEES_THE_FOLDER == (SEES_THE_FOLDER if remote else set())
    assert members.get("tunnel", {"apache", "cloudflared"}) == {"apache", "cloudflared"}
    assert set(members) == set(model["networks"])


def test_every_declared_volume_is_mounted(model: dict[str, Any]) -> None:
    """Every volume is mounted, and every mounted volume is declared."""
    used = {
        mount["source"]
        for _, service in iterate_services(model)
        for mount in service["volumes"]
        if mount["type"] == "volume"
    }
    assert used == set(model["volumes"])


def test_images_are_pinned(model: dict[str, Any]) -> None:
    """No image floats on `latest`."""
    for name, service in iterate_services(model):
        image, _, tag = service["image"].rpartition(":")
        assert image, name
        assert tag not in ("", "latest"), name


def test_secrets_stay_in_secrets(contents: dict[str, str]) -> None:
    """No secret value is in any file outside secrets/."""
    values = [value for name, value in STAND_INS.items() if name != "authority.pem"]
    values += ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]
    for path, text in contents.items():
        if not path.startswith("secrets/"):
            assert not [value for value in values if value in text], path


def test_secret_files_are_readable_by_containers_and_nothing_else_is_executable(plan: Plan) -> None:
    """Secrets have mode 0444 (their directory is 0700), scripts 0755, the rest 0644."""
    for file in plan.files:
        script = file.content.startswith(b"#!") and file.path.parts[0] == "images"
        secret = file.path.parts[0] == "secrets"
        # The bootstrap writes the instance, without the capability to write what is not its own.
        mode = 0o666 if file.path.name == "instance" else 0o444
        assert file.mode == (mode if secret else 0o755 if script else 0o644), file.path


def test_nothing_is_left_to_substitute(contents: dict[str, str]) -> None:
    """No single `$` in compose.yaml: no environment and no .env can change the bundle."""
    for path in {"compose.yaml", "drill.yaml"} & set(contents):
        assert "$" not in contents[path].replace("$$", "")
    rendered = {"compose.yaml", "drill.yaml", "synapse/homeserver.yaml", "apache/httpd.conf"}
    for path in rendered & set(contents):
        assert "{{" not in contents[path]
        assert "{%" not in contents[path]


def test_every_file_parses_and_ends_with_one_newline(contents: dict[str, str]) -> None:
    """YAML is YAML, JSON is JSON, and a text file ends as text files end."""
    for path, text in contents.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        if path.endswith(".yaml"):
            yaml.load(text, Loader=DrillLoader)  # noqa: S506
        if path.endswith(".json"):
            json.loads(text)


def test_no_path_leaves_the_bundle_or_names_this_machine(plan: Plan, repository: Path) -> None:
    """Paths are relative, and no file knows where it was generated."""
    for file in plan.files:
        assert not file.path.is_absolute()
        assert ".." not in file.path.parts
        assert str(repository).encode() not in file.content, file.path


def test_planning_twice_gives_the_same(plan: Plan) -> None:
    """The same settings and credentials give the same bytes."""
    for shape in SHAPES:
        if plan is plan_shape(shape):
            assert plan_settings(loading.load(shape)) == plan


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_a_changed_input_changes_the_label_of_its_consumers_alone(shape: Path) -> None:
    """The label of a service follows each file it mounts, and no other file."""
    settings = loading.load(shape)
    plan = plan_settings(settings)
    model = read_compose(plan)
    for file in plan.files:
        if file.path.parts[0] == "images" or str(file.path) in HOST_ONLY:
            continue
        contents = {str(f.path): f.content for f in plan.files if f.path.name != "instance"}
        if file.path.name == "instance":
            # What the bootstrap writes is not a reason to run it again.
            continue
        contents[str(file.path)] += b"# changed\n"
        for name, service in iterate_services(model):
            label = service["labels"]["synapse-bundle.inputs"]
            now = mounted_inputs.digest_inputs(mounted_inputs.find_sources(service), contents)
            mounted = any(PurePosixPath(file.path).is_relative_to(s) for s in reads(service))
            assert (now != label) == mounted, (name, file.path)


def test_the_operators_override_counts(repository: Path) -> None:
    """Editing homeserver.override.yaml recreates Synapse and nothing else."""
    before = read_compose(plan_settings(Settings()))
    edited = {"synapse/homeserver.override.yaml": b"presence: {enabled: true}\n"}
    after = read_compose(plan_settings(Settings(), edited))
    changed = {n for n, s in iterate_services(after) if s != before["services"][n]}
    assert changed == {"synapse"}


def test_a_changed_image_context_changes_the_image(plan: Plan) -> None:
    """The tag of an own image follows every file of its context, so that `up` builds it again."""
    contexts = [file for file in plan.files if file.path.parts[0] == "images"]
    for name in ("apache", "helper"):
        tag = planning.tag_image(name, contexts)
        for file in contexts:
            edited = [
                f if f is not file else planning.PlannedFile(path=f.path, content=f.content + b"\n")
                for f in contexts
            ]
            # The converter has a stage of its own, which no service runs.
            inside = file.path.parts[1] == name and file.path.parts[2] != "kubernetes"
            assert (planning.tag_image(name, edited) != tag) == inside, file.path


def test_the_image_of_backups_follows_code_and_database(plan: Plan) -> None:
    """It is built again when the helper changes, and when PostgreSQL's image does."""
    contexts = [file for file in plan.files if file.path.parts[0] == "images"]
    tag = planning.tag_image("backup", contexts, "helper", "postgres:17")
    assert planning.tag_image("backup", contexts, "helper", "postgres:18") != tag
    edited = [planning.PlannedFile(path=f.path, content=f.content + b"\n") for f in contexts]
    assert planning.tag_image("backup", edited, "helper", "postgres:17") != tag
    pin = images.read_pins()["postgres"].reference
    backup = read_compose(plan)["services"].get(BACKUP)
    if backup is None:
        return
    assert backup["image"] == planning.tag_image("backup", contexts, "helper", pin)
    assert backup["build"]["args"] == {"POSTGRES_IMAGE": pin}


def test_a_healthy_service_is_left_in_peace(model: dict[str, Any]) -> None:
    """No health check comes more often than every 20 s: more would cost more than the service at rest."""
    for name, service in iterate_services(model):
        check = service.get("healthcheck", {})
        assert not check or int(check["interval"].removesuffix("s")) >= 20, name


def test_synapse_opens_few_connections(plan: Plan, model: dict[str, Any]) -> None:
    """Synapse keeps each connection that it ever opened; PostgreSQL has room for the helper's too."""
    files = {str(file.path): file.content for file in plan.files}
    arguments = yaml.safe_load(files["secrets/synapse.yaml"])["database"]["args"]
    command = model["services"].get("postgres", {}).get("command", ["--max_connections=100"])
    (most,) = (word.partition("=")[2] for word in command if word.startswith("--max_connections"))
    assert 5 <= arguments["cp_max"] <= 10 < int(most)

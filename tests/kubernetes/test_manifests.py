"""The manifests of every supported shape: laws, strict schemas, and what a review reads."""

from __future__ import annotations

import base64
import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from synapse_bundle import planning
from synapse_bundle.credentials.collection import Credentials
from synapse_bundle.kubernetes import storage
from synapse_bundle.kubernetes.compose_model import ComposeService, Mount
from synapse_bundle.kubernetes.conversion import convert
from synapse_bundle.planning import Plan
from synapse_bundle.settings import loading
from synapse_bundle.topology import CLUSTER, SECRETS
from tests.bundles import fake_credentials, plan_shape, read_compose
from tests.kubernetes import laws
from tests.kubernetes.conversions import (
    Manifest,
    convert_shape,
    find_templates,
    list_containers,
    model_compose,
    parse,
    read_plan,
)
from tests.kubernetes.faults import FAULTS, SeededFault, Step
from tests.kubernetes.schemas import VERSIONS, find_errors
from tests.settings import SHAPES

GOLDEN = Path(__file__).with_name("golden")
# In which pod a service is; another one has the name of its pod.
PODS = {"bootstrap": "helper", "apache": "edge", "cloudflared": "edge"}
# What the review of a golden file is about; the rest is what the bundle's own golden files hold.
REVIEWED = ("cloudnative_pg", "external_database", "full", "spread", "trial")
NOT_REVIEWED = ("secrets.yaml", "configuration.yaml", "backup/job.yaml", "restore/job.yaml")
OLD_KEY = f"ed25519:a_Old {'A' * 43} 1700000000000"
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)


def find_shape(name: str) -> Path:
    return next(shape for shape in SHAPES if shape.stem == name)


@shapes
def test_laws_hold(shape: Path) -> None:
    """Names, selectors, mounts, references, restrictions, secrets."""
    laws.check(parse(convert_shape(shape)))


@shapes
def test_a_second_conversion_is_the_same(shape: Path) -> None:
    """Byte for byte, also when the model arrives in another order."""
    plan = plan_shape(shape)
    model = model_compose(plan)
    model["services"] = dict(reversed(model["services"].items()))
    files = dict(reversed(read_plan(plan).items()))
    assert convert(model, files) == convert_shape(shape)


@shapes
def test_synapse_waits_for_the_folder_that_the_bootstrap_proves(shape: Path) -> None:
    """Both read the id of the converted folder from one Secret, whatever the bootstrap's volume has."""
    found = {}
    for template in find_templates(parse(convert_shape(shape))).values():
        secrets = {
            volume["name"]: volume["secret"]["secretName"]
            for volume in template["spec"]["volumes"]
            if "secret" in volume
        }
        for container in list_containers(template):
            mounts = {m["mountPath"]: m["name"] for m in container.get("volumeMounts", [])}
            values = {each["name"]: each.get("value") for each in container.get("env", [])}
            if "FOLDER_FILE" in values:
                folder, _, key = values["FOLDER_FILE"].rpartition("/")
                found[container["name"]] = (secrets[mounts[folder]], key)
    expected = ("seed-instance", "instance")
    assert found == {"bootstrap": expected, "wait-database": expected}


def test_a_service_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which pod shares a claim with which is asked of all pairs, again and again."""
    plan = plan_shape(find_shape("spread"))
    model, looked = model_compose(plan), []
    place = storage.Bundle._place_mounts

    def count(bundle: storage.Bundle, service: ComposeService) -> list[Mount]:
        looked.append(service.name)
        return place(bundle, service)

    monkeypatch.setattr(storage.Bundle, "_place_mounts", count)
    convert(model, read_plan(plan))
    assert sorted(looked) == sorted(model["services"])


@pytest.mark.parametrize("version", VERSIONS)
@shapes
def test_strict_schemas_accept_it(shape: Path, version: str) -> None:
    """No unknown field, no wrong type."""
    objects = parse(convert_shape(shape))
    assert [error for each in objects for error in find_errors(each, version)] == []


@shapes
def test_every_file_is_where_compose_mounts_it(shape: Path) -> None:
    """Each service sees the same files with the same content, and no other ones."""
    plan = plan_shape(shape)
    files, objects = read_plan(plan), parse(convert_shape(shape))
    model = read_compose(plan)
    for name, service in model["services"].items():
        template = find_templates(objects)[PODS.get(name, name)]
        container = next(c for c in list_containers(template) if c["name"] == name)
        expected = list_bound(service, files)
        for path, content in expected.items():
            if not path.startswith("/bundle/"):
                expected[path] = name_addresses(model, content)
        if name == "bootstrap":
            # In Compose it writes this one; here that is in a volume, which begins with it.
            expected[CLUSTER.folder] = files["secrets/instance"]
        assert list_mounted(objects, template, container) == expected, name


def name_addresses(model: dict[str, Any], content: bytes) -> bytes:
    """Return a file with names for the addresses that Compose fixes, and cluster has none of."""
    for name, service in model["services"].items():
        for network in service["networks"] if isinstance(service["networks"], dict) else ():
            address = (service["networks"][network] or {}).get("ipv4_address", "")
            if name != "apache" and network in {"tunnel", "pools"}:
                other = "127.0.0.1" if network == "tunnel" else name
                content = content.replace(address.encode(), other.encode())
    return content


def list_bound(service: dict[str, Any], files: dict[str, bytes]) -> dict[str, bytes]:
    """Return what a service of Compose sees of the bundle, by path in the container."""
    found = {}
    for mount in service["volumes"]:
        if mount["type"] != "bind" or not mount.get("read_only"):
            continue
        source = mount["source"].removeprefix("./")
        for path, content in files.items():
            if source == ".":
                found[f"{mount['target']}/{path}"] = content
            elif path == source:
                found[mount["target"]] = content
            elif path.startswith(f"{source}/"):
                found[f"{mount['target']}/{path.removeprefix(f'{source}/')}"] = content
    return found


def list_mounted(
    objects: list[Manifest], template: Manifest, container: Manifest
) -> dict[str, bytes]:
    """Return what a container sees of ConfigMaps and Secrets that the conversion made."""
    held = {
        (o["kind"].lower(), o["metadata"]["name"]): read_data(o)
        for o in objects
        if o["kind"] in {"ConfigMap", "Secret"}
    }
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    found = {}
    for mount in container["volumeMounts"]:
        # The folder as a whole is copied from its parts.
        volume = volumes["bundle-parts" if mount["name"] == "bundle" else mount["name"]]
        for part in volume.get("projected", {}).get("sources", [volume]):
            for kind in {"configMap", "secret"} & set(part):
                source = part[kind]
                data = held.get((kind.lower(), source.get("secretName") or source["name"]), {})
                places = {item["key"]: item["path"] for item in source.get("items", [])}
                for key, content in data.items():
                    found[f"{mount['mountPath']}/{places.get(key, key)}"] = content
    return found


def read_data(held: Manifest) -> dict[str, bytes]:
    """Return the content of a ConfigMap or Secret by key."""
    if held["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in held.get("data", {}).items()}
    binary = {key: base64.b64decode(value) for key, value in held.get("binaryData", {}).items()}
    return {key: value.encode() for key, value in held["data"].items()} | binary


@shapes
def test_who_shares_a_network_may_speak(shape: Path) -> None:
    """The policies allow exactly the pairs of pods that share a Compose network."""
    model, objects = read_compose(plan_shape(shape)), parse(convert_shape(shape))
    networks: dict[str, set[str]] = {}
    for name, service in model["services"].items():
        networks.setdefault(PODS.get(name, name), set()).update(service["networks"])
    pairs = {
        frozenset((one, other))
        for one in networks
        for other in networks
        if one != other and networks[one] & networks[other]
    }
    assert laws.find_pairs(objects) == pairs
    internal = {name for name, each in model["networks"].items() if (each or {}).get("internal")}
    # To a database outside there is one port.
    internal |= {"database"}
    out = {pod for pod, names in networks.items() if names - internal}
    assert laws.find_ways_out(objects) == out
    assert "postgres" not in out


def find_policy(objects: list[Manifest], name: str) -> Manifest:
    """Return the rules of a policy."""
    (spec,) = (
        o["spec"] for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == name
    )
    return dict(spec)


def test_a_database_outside_is_one_port() -> None:
    """Who has to reach it reaches nothing else by that network, wherever the database is."""
    objects = parse(convert_shape(find_shape("external_database")))
    (inside, outside) = find_policy(objects, "database")["egress"]
    assert inside == {"to": [{"podSelector": {"matchLabels": {"network/database": "true"}}}]}
    blocks = [{"ipBlock": {"cidr": cidr}} for cidr in ("0.0.0.0/0", "::/0")]
    assert outside["to"] == [*blocks, {"namespaceSelector": {}}]
    assert outside["ports"] == [{"port": 6432, "protocol": "TCP"}]


def test_the_instances_of_an_operator_are_reached_by_whom_they_serve() -> None:
    """Synapse, and the bootstrap in the helper's pod; and the operator, from its own namespace."""
    objects = parse(convert_shape(find_shape("cloudnative_pg")))
    labels = {"cnpg.io/cluster": "database"}
    pod = {"metadata": {"labels": labels}, "spec": {}}
    instance = {"kind": "Instance", "metadata": {"name": "instance"}, "spec": {"template": pod}}
    pairs = laws.find_pairs([*objects, instance])
    assert {pair for pair in pairs if "instance" in pair} == {
        frozenset(("instance", other)) for other in ("synapse", "helper")
    }
    policy = find_policy(objects, "database-instances")
    assert policy["podSelector"] == {"matchLabels": labels}
    clients, others = policy["ingress"]
    assert clients["from"] == [{"podSelector": {"matchLabels": {"network/database": "true"}}}]
    assert clients["ports"] == [{"port": 5432, "protocol": "TCP"}]
    assert {port["port"] for port in others["ports"]} == {5432, 8000}
    (operator,) = (peer for peer in others["from"] if "namespaceSelector" in peer)
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "cloudnative-pg"}
    # Each asks the API server for its Cluster, and goes nowhere else.
    assert [{port["port"] for port in rule["ports"]} for rule in policy["egress"]] == [
        {5432, 8000},
        {443, 6443},
    ]


def test_the_operator_makes_what_the_bootstrap_proves() -> None:
    """The same database, role and password as Synapse's, at the Service that leads to the primary."""
    shape = find_shape("cloudnative_pg")
    objects = parse(convert_shape(shape))
    (cluster,) = (o for o in objects if o["kind"] == "Cluster")
    initdb = cluster["spec"]["bootstrap"]["initdb"]
    assert (initdb["encoding"], initdb["localeCollate"], initdb["localeCType"]) == (
        "UTF8",
        "C",
        "C",
    )
    assert cluster["spec"]["enableSuperuserAccess"] is False
    (secret,) = (o for o in objects if o["metadata"]["name"] == initdb["secret"]["name"])
    assert secret["type"] == "kubernetes.io/basic-auth"
    account = {key: value.decode() for key, value in read_data(secret).items()}
    files = read_plan(plan_shape(shape))
    arguments = yaml.safe_load(files["secrets/synapse.yaml"])["database"]["args"]
    assert account == {"username": arguments["user"], "password": arguments["password"]}
    assert (initdb["owner"], initdb["database"]) == (arguments["user"], arguments["database"])
    assert arguments["host"] == f"{cluster['metadata']['name']}-rw"
    assert arguments["sslmode"] == "verify-full"
    folder = str(Path(arguments["sslrootcert"]).parent)
    for name in ("helper", "synapse"):
        for container in list_containers(find_templates(objects)[name]):
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            wanted = container["name"] in {"bootstrap", "synapse", "wait-database"}
            assert (folder in mounts) == wanted, container["name"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instances", "2"),
        ("superuser", True),
        ("storage", {"size": "10 GB"}),
        ("bootstrap", {"initdb": {"database": "synapse", "localeCtype": "C"}}),
    ],
)
def test_a_wrong_field_of_the_operators_is_found(key: str, value: Any) -> None:
    """The operator's own schema drops a field that it does not know; ours refuses it."""
    objects = parse(convert_shape(find_shape("cloudnative_pg")))
    (cluster,) = (o for o in objects if o["kind"] == "Cluster")
    changed = cluster | {"spec": cluster["spec"] | {key: value}}
    assert [*find_errors(changed, VERSIONS[0])]


@shapes
def test_a_change_rolls_what_it_concerns(shape: Path) -> None:
    """Another content of a mounted file changes the annotation of the pods that see it, and no other."""
    plan = plan_shape(shape)
    model = model_compose(plan)
    model["services"]["synapse"]["labels"]["synapse-bundle.inputs"] = "another"
    before = find_templates(parse(convert_shape(shape)))
    after = find_templates(parse(convert(model, read_plan(plan))))
    assert {name for name in before if before[name] != after[name]} == {"synapse"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_seeded_fault_is_found_by_its_step(fault: SeededFault) -> None:
    """The schemas find what they can, our laws what nothing else does."""
    objects = parse(convert_shape(find_shape("full")))
    sound = copy.deepcopy(objects)
    fault.seed(objects)
    changed = [each for each, before in zip(objects, sound, strict=True) if each != before]
    assert len(changed) == 1
    assert (fault.step is Step.SCHEMA) == any([*find_errors(each, VERSIONS[0])] for each in changed)
    if fault.step is Step.LAWS:
        with pytest.raises(AssertionError):
            laws.check(objects)


@pytest.mark.parametrize("name", ["spread", "backup_folder"])
def test_a_rotated_signing_key_is_known_where_compose_has_it(name: str) -> None:
    """Every process of Synapse publishes the old key, backup and restore accept it, and a set has it."""
    plan = plan_rotated(find_shape(name))
    objects = parse(convert(model_compose(plan), read_plan(plan)))
    laws.check(objects)
    assert [error for each in objects for error in find_errors(each, VERSIONS[-1])] == []
    held, services = find_templates(objects), read_compose(plan)["services"]
    informed = {
        container["name"]
        for template in held.values()
        for container in list_containers(template)
        for each in container.get("env", ())
        if (each["name"], each["value"]) == ("OLD_VERIFY_KEYS", OLD_KEY.rpartition(" ")[0])
    }
    assert informed == {"backup", "restore"}
    before = find_templates(parse(convert_shape(find_shape(name))))
    processes = {each for each in services if each.startswith("synapse")}
    assert {pod for pod in held if held[pod] != before[pod]} == processes | informed
    for pod in processes:
        (container,) = held[pod]["spec"]["containers"]
        files = list_mounted(objects, held[pod], container)
        assert [p for p, content in files.items() if b"\nold_signing_keys:" in content] == [
            f"{SECRETS}/synapse.yaml"
        ]


def plan_rotated(shape: Path) -> Plan:
    """Return the plan of a bundle whose signing key was replaced once."""
    settings = loading.load(shape)
    values = fake_credentials(settings).values
    old = {"signing.key.a_Old": values["signing.key"], "old_signing_keys": OLD_KEY}
    return planning.plan(settings, Credentials(values={**values, **old}), {})


@pytest.mark.parametrize("name", REVIEWED)
def test_manifests_are_as_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    """The manifests equal the committed ones; `make golden` rewrites them."""
    directory = GOLDEN / name
    made = {
        path: mask(content)
        for path, content in convert_shape(find_shape(name)).items()
        if path not in NOT_REVIEWED
    }
    if request.config.getoption("--update-golden"):
        shutil.rmtree(directory, ignore_errors=True)
        for path, text in made.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
    golden = {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*.yaml")
    }
    assert made == golden


def mask(content: bytes) -> str:
    """Return a manifest without what follows from the contents of files."""
    text = re.sub(r"(synapse-bundle/\w+:)[0-9a-f]{12}", r"\1<context>", content.decode())
    text = re.sub(r"newTag: '?[0-9a-f]{12}'?$", "newTag: <context>", text, flags=re.MULTILINE)
    return re.sub(r"(\w+=)[0-9a-f]{64}", r"\1<inputs>", text)

"""What holds for every set of manifests, whatever the settings; each law names what breaks it."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections import Counter
from typing import Any

from tests.kubernetes.conversions import Manifest, find_templates, list_containers

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PATHS_OF_A_REFERENCE = ("configMap", "secret")
# The only object with data of its own that the helper, not an apply, fills.
PUBLISHED = "published"


def check(objects: list[Manifest]) -> None:
    """Raise AssertionError for the first law that does not hold."""
    for law in (
        _check_names,
        _check_selectors,
        _check_readiness,
        _check_mounts,
        _check_places,
        _check_references,
        _check_environment,
        _check_times_and_media,
        _check_restrictions,
        _check_secrets,
    ):
        law(objects)


def _check_names(objects: list[Manifest]) -> None:
    found = Counter((o["kind"], o["metadata"]["name"]) for o in objects)
    for (kind, name), count in found.items():
        assert count == 1, f"{kind} {name} twice"
        assert _NAME.fullmatch(name), f"{kind} {name!r} is not a name"
    for each in objects:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"], each["metadata"]


def _check_selectors(objects: list[Manifest]) -> None:
    pods = [template["metadata"]["labels"] for template in find_templates(objects).values()]
    for each in objects:
        selector = each.get("spec", {}).get("selector")
        if selector is None:
            continue
        labels = selector.get("matchLabels", selector)
        if "template" in each["spec"]:
            assert labels.items() <= each["spec"]["template"]["metadata"]["labels"].items(), labels
        # Exactly one workload, or a Service would lead to another one as well.
        assert sum(labels.items() <= pod.items() for pod in pods) == 1, (each["kind"], labels)


def _check_readiness(objects: list[Manifest]) -> None:
    early = [o for o in objects if o.get("spec", {}).get("publishNotReadyAddresses")]
    # Of these there is one pod: no other would answer instead of one that does not yet.
    assert {each["metadata"]["name"] for each in early} <= {"postgres", "synapse"}


def _check_mounts(objects: list[Manifest]) -> None:
    for name, template in find_templates(objects).items():
        volumes = [volume["name"] for volume in template["spec"].get("volumes", [])]
        used = set()
        for container in list_containers(template):
            mounts = container.get("volumeMounts", [])
            targets = [mount["mountPath"] for mount in mounts]
            assert len(set(targets)) == len(targets), f"{name}: two mounts at one place"
            used |= {mount["name"] for mount in mounts}
        assert sorted(volumes) == sorted(used), f"{name}: {set(volumes) ^ used}"


def _check_places(objects: list[Manifest]) -> None:
    """What shares a claim goes to one node, and whichever of it is first may start."""
    templates = find_templates(objects)
    claims = {
        name: {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in template["spec"].get("volumes", [])
            if "persistentVolumeClaim" in volume
        }
        for name, template in templates.items()
    }
    terms = {}
    for name, template in templates.items():
        affinity = template["spec"].get("affinity", {}).get("podAffinity", {})
        found = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        terms[name] = [term["labelSelector"]["matchLabels"] for term in found]
        for labels in terms[name]:
            assert labels.items() <= template["metadata"]["labels"].items(), f"{name} waits"
    for one, other in itertools.combinations(templates, 2):
        if claims[one] & claims[other]:
            assert terms[one], f"{one} may be away from {other}"
            assert terms[one] == terms[other], (one, other)


def _list_sources(volume: Manifest) -> list[tuple[str, Manifest]]:
    parts = volume.get("projected", {}).get("sources", [volume])
    return [(kind, part[kind]) for part in parts for kind in _PATHS_OF_A_REFERENCE if kind in part]


def _check_references(objects: list[Manifest]) -> None:
    held = {
        (o["kind"].lower(), o["metadata"]["name"]): {*o.get("data", {}), *o.get("binaryData", {})}
        for o in objects
        if o["kind"] in {"ConfigMap", "Secret"}
    }
    claims = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
    # The root of a database's certificate is the operator's to publish.
    roots = {f"{o['metadata']['name']}-ca" for o in objects if o["kind"] == "Cluster"}
    for pod, template in find_templates(objects).items():
        for volume in template["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in claims, f"{pod}: no claim {claim}"
            for kind, source in _list_sources(volume):
                name = source.get("secretName") or source["name"]
                if name == "kube-root-ca.crt" or name.startswith("helper-files-"):
                    continue
                if name in roots:
                    # Beside it is its private key.
                    assert [item["key"] for item in source["items"]] == ["ca.crt"]
                    continue
                keys = held[kind.lower(), name]
                wanted = {item["key"] for item in source.get("items", [])}
                assert source.get("optional") or wanted <= keys, f"{pod}: {name} lacks {wanted}"


def _check_environment(objects: list[Manifest]) -> None:
    for template in find_templates(objects).values():
        for container in list_containers(template):
            names = [variable["name"] for variable in container.get("env", [])]
            assert len(set(names)) == len(names), f"{container['name']}: a variable twice"
            assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names), names


def _check_times_and_media(objects: list[Manifest]) -> None:
    for name, template in find_templates(objects).items():
        spec = template["spec"]
        assert spec["terminationGracePeriodSeconds"] > 0, name
        media = {v["emptyDir"].get("medium") for v in spec.get("volumes", []) if "emptyDir" in v}
        assert media <= {None, "Memory"}, f"{name}: {media}"
        for container in list_containers(template):
            # Whatever is killed in a migration of the schema has to begin again.
            assert "livenessProbe" not in container or container["name"] == "cloudflared", name


def _check_restrictions(objects: list[Manifest]) -> None:
    """Pod Security "restricted": https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    for name, template in find_templates(objects).items():
        spec = template["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {s["name"] for s in security.get("sysctls", [])} <= {
            "net.ipv4.ip_unprivileged_port_start"
        }
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in list_containers(template):
            own = container["securityContext"]
            assert own["runAsUser"] > 0, container["name"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert own["readOnlyRootFilesystem"] is True


def _check_secrets(objects: list[Manifest]) -> None:
    """No value of a Secret is anywhere else, and each is `data`."""
    values = set()
    for each in (o for o in objects if o["kind"] == "Secret"):
        assert "stringData" not in each
        assert ("data" in each) == (each["metadata"]["name"] != PUBLISHED)
        for value in (v for k, v in each.get("data", {}).items() if k != "username"):
            content = base64.b64decode(value).decode().strip()
            values |= {content} if len(content) > 8 else set()
    shown = [o for o in objects if o["kind"] != "Secret"]
    for each in shown:
        text = "\n".join(_list_texts(each))
        for value in values:
            assert value not in text, f"{each['kind']} {each['metadata']['name']} has a secret"


def _list_texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _list_texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _list_texts(part)]
    return [value] if isinstance(value, str) else []


def find_pairs(objects: list[Manifest]) -> set[frozenset[str]]:
    """Return which pods may speak with which, by the rules of the policies' own semantics.

    A pod that a policy selects is closed in that direction but for what one of them opens.
    """
    policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
    pods = {n: t["metadata"]["labels"] for n, t in find_templates(objects).items()}
    return {
        frozenset((one, other))
        for one in pods
        for other in pods
        if one != other
        and _opens(policies, "egress", "to", pods[one], pods[other])
        and _opens(policies, "ingress", "from", pods[other], pods[one])
    }


def _opens(
    policies: list[Manifest], way: str, side: str, own: dict[str, str], other: dict[str, str]
) -> bool:
    mine = [
        p for p in policies if _selects(p["podSelector"], own) and way.title() in p["policyTypes"]
    ]
    peers = [peer for policy in mine for rule in policy.get(way, []) for peer in rule.get(side, [])]
    return not mine or any(
        _selects(peer["podSelector"], other)
        for peer in peers
        if "podSelector" in peer and "namespaceSelector" not in peer
    )


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def find_ways_out(objects: list[Manifest]) -> set[str]:
    """Return the pods that may reach the whole internet, by both protocols and at every port."""
    policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
    found = set()
    for name, template in find_templates(objects).items():
        labels = template["metadata"]["labels"]
        blocks = {
            ipaddress.ip_network(peer["ipBlock"]["cidr"])
            for policy in policies
            if _selects(policy["podSelector"], labels)
            for rule in policy.get("egress", [])
            for peer in rule.get("to", [])
            if "ipBlock" in peer and "ports" not in rule
        }
        if blocks:
            assert blocks == {ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")}
            found.add(name)
    return found

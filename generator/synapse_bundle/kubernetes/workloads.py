"""Pods -> what keeps them running: StatefulSets, Deployments, Jobs, Services, disruption budgets."""

from __future__ import annotations

from .cluster_file import PodPlan
from .objects import Manifest, build, label_pod
from .pods import build_template
from .storage import Bundle


def build_workloads(bundle: Bundle, pod: str) -> list[Manifest]:
    """Return a pod's workload, and what belongs to it."""
    plan, namespace = bundle.cluster.pods[pod], bundle.cluster.namespace
    template = build_template(bundle, pod)
    made = [_build_workload(namespace, pod, plan, template), *_build_services(bundle, pod)]
    if plan.replicas > 1:
        # Not with one replica: it would keep every node from being emptied.
        spec = {"minAvailable": 1, "selector": {"matchLabels": label_pod(pod)}}
        made.append(build("PodDisruptionBudget", "policy/v1", pod, namespace, spec=spec))
    return made


def _build_workload(namespace: str, pod: str, plan: PodPlan, template: Manifest) -> Manifest:
    if plan.kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        # A restore or a backup that failed is looked at before it is repeated.
        spec: Manifest = {"backoffLimit": 0, "template": template}
        return build("Job", "batch/v1", pod, namespace, spec=spec)
    spec = {"replicas": plan.replicas, "selector": {"matchLabels": label_pod(pod)}}
    if plan.kind == "StatefulSet":
        spec |= {"serviceName": pod}
        spec |= {"podManagementPolicy": "Parallel"} if plan.parallel else {}
    elif plan.replicas > 1:
        rolling = {"maxSurge": 1, "maxUnavailable": 0}
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    else:
        spec["strategy"] = {"type": "Recreate"}
    return build(plan.kind, "apps/v1", pod, namespace, spec=spec | {"template": template})


def _build_services(bundle: Bundle, pod: str) -> list[Manifest]:
    """Return a Service for each port of a pod, by the name that other services know."""
    made: list[Manifest] = []
    for service in bundle.members(pod):
        hint = bundle.cluster.hint(service.name)
        if hint.port:
            # One of several ports needs a name.
            ports: list[Manifest] = [{"port": hint.port, "targetPort": hint.port}]
            if hint.private:
                ports[0]["name"] = "main"
                ports += [
                    {"name": network, "port": port, "targetPort": port}
                    for network, port in hint.private.items()
                ]
            spec: Manifest = {"selector": label_pod(pod), "ports": ports}
            if hint.early:
                # A kubelet may look for the first time after a whole period of the readiness probe.
                spec["publishNotReadyAddresses"] = True
            made.append(build("Service", "v1", service.name, bundle.cluster.namespace, spec=spec))
    return made

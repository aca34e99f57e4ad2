"""The node as a whole: start it, know it, end it, carry images to it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.lab.daemon import find_daemon
from tests.lab.kubernetes.api_client import ApiClient
from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.lab.kubernetes.cluster_programs import prepare_programs
from tests.lab.kubernetes.namespaces import (
    add_network,
    find_node,
    remember,
    remove_node,
    start_processes,
)
from tests.lab.kubernetes.node_configuration import SANDBOX, write_configuration
from tests.lab.kubernetes.source_build import build_archive
from tests.lab.paths import find_paths
from tests.lab.steps import LabError, report, run, time_step
from tests.support.waiting import becomes_true

if TYPE_CHECKING:
    from tests.lab.kubernetes.cluster_paths import ClusterPaths

START_SECONDS: Final = 180.0
_SANDBOX_CONTEXT: Final = Path(__file__).parent / "sandbox"


def name_docker() -> tuple[str, dict[str, str] | None]:
    """Return the docker command and environment: the lab's engine where it runs, or the machine's."""
    paths = find_paths()
    if find_daemon(paths) is None:
        return "docker", None
    return paths.docker, paths.list_environment()


def is_node_ready(api: ApiClient) -> bool:
    """Return whether the one node is ready for pods, and claims for volumes are served."""
    try:
        nodes = api.ask("GET", "/api/v1/nodes")["items"]
        classes = api.ask("GET", "/apis/storage.k8s.io/v1/storageclasses")["items"]
    except OSError:
        return False
    return bool(classes) and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in nodes
        for condition in node["status"].get("conditions", [])
    )


def await_node(paths: ClusterPaths, child: subprocess.Popen[bytes]) -> None:
    """Wait until the node is ready; raise LabError with its logs when it ends or takes too long."""
    api = ApiClient(paths)
    becomes_true(lambda: child.poll() is not None or is_node_ready(api), START_SECONDS)
    if child.poll() is not None or not is_node_ready(api):
        tails = []
        for log in sorted(paths.logs.iterdir()):
            tails += [f"{log.name}:", *log.read_text(errors="replace").splitlines()[-5:]]
        raise LabError("the node did not start:\n" + "\n".join(tails))


def start_cluster(paths: ClusterPaths) -> None:
    """Start a node with nothing in it, unless one runs; raise LabError when it does not start."""
    if find_node(paths) is not None:
        return
    prepare_programs(paths)
    with time_step("start the node"):
        remove_node(paths)
        paths.runtime.mkdir(parents=True)
        write_configuration(paths)
        remember(paths)
        add_network()
        child = start_processes(paths)
        try:
            docker, environment = name_docker()
            run([docker, "build", "-q", "-t", SANDBOX, _SANDBOX_CONTEXT], environment=environment)
            becomes_true(lambda: paths.containerd.exists() or child.poll() is not None, 30)
            load_images(paths, [SANDBOX])
            await_node(paths, child)
            # It is known by its process id from now on.
            child.returncode = 0
        except BaseException:
            keep_logs(paths)
            remove_node(paths)
            raise


def keep_logs(paths: ClusterPaths) -> None:
    """Keep the logs of a node that did not start."""
    shutil.rmtree(paths.root / "failed", ignore_errors=True)
    shutil.copytree(paths.logs, paths.root / "failed")


def load_images(paths: ClusterPaths, tags: Sequence[str]) -> None:
    """Carry images from the engine into the node; raise LabError when either refuses."""
    docker, environment = name_docker()
    importing = [str(paths.packages / "usr/bin/ctr"), f"--address={paths.containerd}"]
    importing += ["--namespace=k8s.io", "images", "import", "-"]
    with subprocess.Popen(
        [docker, "save", *tags], env=environment, stdout=subprocess.PIPE
    ) as saving:
        done = subprocess.run(importing, stdin=saving.stdout, capture_output=True, check=False)
    if saving.returncode or done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise LabError(f"cannot carry {' '.join(tags)} into the node: {said}")


def stop_cluster(paths: ClusterPaths) -> None:
    """End the node and remove all it left."""
    with time_step("stop the node"):
        remove_node(paths)


def print_status(paths: ClusterPaths) -> None:
    """Report whether the node runs; raise LabError when it does not."""
    pid = find_node(paths)
    if pid is None:
        raise LabError(f"no Kubernetes node runs ({paths.root})")
    report(f"a Kubernetes node runs, process {pid} ({paths.root})")


def run_command(action: str, names: Sequence[str]) -> None:
    """Run one command of the node; `names` are images to load, or an archive to build."""
    paths = find_cluster_paths()
    if action == "up":
        start_cluster(paths)
    elif action == "down":
        stop_cluster(paths)
    elif action == "status":
        print_status(paths)
    elif action == "load":
        load_images(paths, names)
    elif action == "build":
        for archive in names:
            build_archive(Path(archive).absolute())
    else:
        print_status(paths)
        print(f"export KUBECONFIG={shlex.quote(str(paths.kubeconfig))}")

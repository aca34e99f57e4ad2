"""The topology is the one home of its values: nothing repeats one, but what cannot read it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from synapse_bundle import assets, topology
from synapse_bundle.rendering import SUFFIX
from synapse_bundle.topology import (
    APACHE,
    CLOUDFLARED,
    HEALTH,
    HELPER,
    POSTGRES,
    SYNAPSE,
)

# In compose.yaml, paths that belong to the systems inside the images.
SYSTEM_PATHS = {"/bin/bash", "/dev/null"}
# What the helper spells all the same: a message names certbot's directory.
HELPER_LITERALS = {HELPER.lineages}
# Port 443 is HTTPS's own, 18 a version, and 33 and 600 are numbers like any other.
COMMON_NUMBERS = {0, 18, 33, 120, 443, 600}

# What cannot read the topology and has to spell a value: the file, the words around it, the value.
BOUND = [
    ("images/apache/Dockerfile", r"COPY .* (/\S+)/\n", APACHE.scripts),
    ("images/apache/Dockerfile", r"touch (\S+)", APACHE.packages_date),
    ("images/apache/certificate-checks", r"PUBLISHED=(\S+)", APACHE.certificates),
    ("images/apache/certificate-checks", r"(?m)^STATE=(\S+)", APACHE.runtime),
    ("images/apache/certificate-checks", r"-connect 127\.0\.0\.1:(\d+)", f"{APACHE.port}"),
    ("images/apache/entrypoint", r"-f (\S+)/httpd\.conf", APACHE.configuration),
    ("images/apache/healthcheck", r"STATE=(\S+)", APACHE.runtime),
    ("images/apache/healthcheck", r"/dev/tcp/127\.0\.0\.1/(\d+)", f"{APACHE.health_port}"),
    ("images/apache/healthcheck", r"\*:([0-9A-F]{4})\b", f"{APACHE.port:04X}"),
    ("images/apache/healthcheck", r"on port (\d+)\.", f"{APACHE.port}"),
    ("images/apache/watch-certificate", r"/dev/tcp/127\.0\.0\.1/(\d+)", f"{APACHE.health_port}"),
    ("images/apache/watch-certificate", r"-f (\S+)/httpd\.conf", APACHE.configuration),
    ("images/helper/Dockerfile", r"busybox (/\S+)/busybox", CLOUDFLARED.shell_directory),
    ("images/helper/Dockerfile", r"USER (\S+)", f"{HELPER.uid}:{HELPER.uid}"),
    ("compose/health/probe.sh", r"COUNT=(\S+)/silences", HEALTH.state),
    ("compose/health/gate.sh", r"STARTED_WITH=(\S+)/credential", HEALTH.state),
    ("compose/postgres/start.sh", r"in (/\S+)/\*/docker", POSTGRES.home),
    ("compose/postgres/start.sh", r"\{lock\}<(/\S+)", POSTGRES.home),
]


def _iterate_values() -> Iterator[object]:
    for value in vars(topology).values():
        if is_dataclass(value) and not isinstance(value, type):
            yield from (getattr(value, field.name) for field in fields(value))
    yield topology.SECRETS


PATHS = {v for v in _iterate_values() if isinstance(v, str) and v.startswith("/")}
NUMBERS = {v for v in _iterate_values() if isinstance(v, int)} - COMMON_NUMBERS


def _find_literals(text: str) -> set[str]:
    """Return the values of the topology that a text spells."""
    paths = {path for path in PATHS if re.search(rf"(?<![\w/.}}-]){path}(?![\w-])", text)}
    return paths | {f"{n}" for n in NUMBERS if re.search(rf"(?<![\w.#-]){n}(?![\w-])", text)}


TEMPLATES = [
    source for path, source in assets.walk(assets.locate("compose")) if path.suffix == SUFFIX
]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_spells_a_value(template: Path) -> None:
    """A template names the topology, so that a value changes in one place."""
    text = template.read_text()
    if template.name == "README.md.j2":
        # What it mounts is in a container of its own, which runs once.
        text = re.sub(r"/data\b", "", text)
    assert _find_literals(text) == set()


def test_compose_spells_no_path_at_all(repository: Path) -> None:
    """A path that only compose.yaml needs is the topology's too."""
    text = (repository / "compose/compose.yaml.j2").read_text()
    text = re.sub(r'\{\{.*?\}\}|\{%.*?%\}|#.*|http://[^"]*', "{}", text)
    assert set(re.findall(r"(?<![\w/.}])/[\w./]+", text)) == SYSTEM_PATHS


def test_no_module_of_the_helper_spells_a_value(repository: Path) -> None:
    """The helper learns paths and ports from its environment."""
    for path in (repository / "images/helper/bundle_helper").rglob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in docstrings:
                assert _find_literals(str(node.value)) <= HELPER_LITERALS, path


@pytest.mark.parametrize(("path", "pattern", "value"), BOUND, ids=lambda value: f"{value}"[:40])
def test_what_must_be_spelled_is_the_topologys(
    repository: Path, path: str, pattern: str, value: str
) -> None:
    """A Dockerfile or a script cannot be rendered; it has the same value all the same."""
    assert set(re.findall(pattern, (repository / path).read_text())) == {value}


def test_a_repeated_value_is_found() -> None:
    """The laws above would notice."""
    assert _find_literals("target: /run/health/x") == {HEALTH.state}
    assert _find_literals(f"port {SYNAPSE.port}.") == {f"{SYNAPSE.port}"}
    assert _find_literals("/srv/healthy /x/run/health 18008") == set()

"""Tests of the tests: a protection that disappears from a template does not go unnoticed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from synapse_bundle import assets
from synapse_bundle.planning import Plan
from synapse_bundle.settings import loading
from tests.bundle import test_golden, test_laws
from tests.bundles import plan_settings, read_compose
from tests.settings import DIRECTORY

SHAPE = DIRECTORY / "domain.yaml"
COMPOSE = "compose.yaml.j2"
APACHE = "apache/httpd.conf.j2"
# What every request that is passed on needs: its bytes as they came, no minute of penalty after a
# restart of Synapse, and Synapse's address of now.
PASSED_ON = ("nocanon", "retry=0", "addressttl=[1-5]")
DIRECTIVES = {
    "AllowEncodedSlashes NoDecode",
    "ProxyPreserveHost On",
    "ProxyRequests Off",
    "RequestHeader unset X-Forwarded-For",
    "RequestHeader unset Forwarded",
    "RequestHeader unset CF-Connecting-IP",
    'RequestHeader set X-Forwarded-Proto "https"',
}


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One protection less: what is taken out of which template, and the law that must notice."""

    name: str
    law: Callable[[Plan], None]
    template: str = COMPOSE
    old: str
    new: str = ""

    def __str__(self) -> str:
        """Show in the name of the test."""
        return self.name


def check_privileges(plan: Plan) -> None:
    """Check users, capabilities, limits and logs of all services."""
    test_laws.test_every_service_has_the_least_privilege(read_compose(plan))


def check_ports(plan: Plan) -> None:
    """Check what is published, and where."""
    test_laws.test_only_loopback_is_published(read_compose(plan))


def check_mounts(plan: Plan) -> None:
    """Check that mounts are read-only and never invented."""
    test_laws.test_mounts_are_read_only_and_never_invented(read_compose(plan))


def check_folder(plan: Plan) -> None:
    """Check who sees the whole folder, and how."""
    test_laws.test_who_sees_the_whole_folder_sees_it_read_only(read_compose(plan))


def check_leftovers(plan: Plan) -> None:
    """Check that no run leaves a volume behind."""
    test_laws.test_no_run_leaves_a_volume_behind(read_compose(plan))


def check_exclusion(plan: Plan) -> None:
    """Check that backups are not backed up."""
    test_laws.test_a_repository_in_the_bundle_is_not_in_its_own_sets(read_compose(plan))


def check_labels(plan: Plan) -> None:
    """Check that each label follows the inputs of its service."""
    test_laws.test_a_changed_input_changes_the_label_of_its_consumers_alone(SHAPE)


def check_networks(plan: Plan) -> None:
    """Check who reaches whom."""
    test_laws.test_networks_keep_the_database_and_the_tunnel_apart(read_compose(plan))


def check_restarts(plan: Plan) -> None:
    """Check what starts again after a reboot."""
    test_laws.test_every_service_survives_an_unordered_reboot(read_compose(plan))


def check_hangs(plan: Plan) -> None:
    """Check that what hangs is ended."""
    test_laws.test_every_service_is_ended_when_it_hangs(read_compose(plan))


def check_apache(plan: Plan) -> None:
    """Check the directives that a proxied request relies on, as far as text tells."""
    contents = {str(file.path): file.content.decode() for file in plan.files}
    lines = [line.strip() for line in contents["apache/httpd.conf"].splitlines()]
    passed = [line.split() for line in lines if line.startswith("ProxyPass ")]
    assert {words[1] for words in passed} >= {"/_matrix", "/_synapse/client"}
    for words in passed:
        assert all(any(re.fullmatch(each, word) for word in words) for each in PASSED_ON)
    # Requests with a body go through shares, by rules that keep their bytes.
    members = [line.split() for line in lines if line.startswith("BalancerMember ")]
    for words in members:
        assert all(any(re.fullmatch(each, word) for word in words) for each in PASSED_ON[1:])
    shared = [line for line in lines if line.startswith("RewriteRule ") and "balancer://" in line]
    assert shared
    assert all("[P,NE," in line for line in shared)
    assert set(lines) >= DIRECTIVES


MUTATIONS = [
    Mutation(name="no read_only", law=check_privileges, old="  read_only: true\n"),
    Mutation(name="no cap_drop", law=check_privileges, old="  cap_drop: [ALL]\n"),
    Mutation(
        name="no no-new-privileges",
        law=check_privileges,
        old='  security_opt: ["no-new-privileges:true"]\n',
    ),
    Mutation(name="one capability more", law=check_privileges, old="[CHOWN]", new="[CHOWN, KILL]"),
    Mutation(name="logs without end", law=check_privileges, old="max-size: 10m, "),
    Mutation(name="no pids_limit", law=check_privileges, old="    pids_limit: 64\n"),
    Mutation(
        name="Synapse on all addresses",
        law=check_ports,
        old="127.0.0.1:{{ settings.ports.synapse }}",
        new="{{ settings.ports.synapse }}",
    ),
    Mutation(
        name="Apache on all addresses",
        law=check_ports,
        old="127.0.0.1:{{ settings.ports.https }}",
        new="0.0.0.0:{{ settings.ports.https }}",
    ),
    Mutation(name="invented mounts", law=check_mounts, old=", bind: {create_host_path: false}"),
    Mutation(name="writable mounts", law=check_mounts, old="read_only: true, bind:", new="bind:"),
    Mutation(
        name="a writable folder",
        law=check_folder,
        old="target: {{ topology.backup.bundle|tojson }}, read_only: true",
        new="target: {{ topology.backup.bundle|tojson }}",
    ),
    Mutation(
        name="a volume from every run",
        law=check_leftovers,
        old="    - {{ postgres.declared_volume }}:mode=0700,size=4k\n",
    ),
    Mutation(
        name="backups of backups",
        law=check_exclusion,
        old="topology.backup.bundle ~ settings.backup.repository[1:] if",
        new="'none' if",
    ),
    Mutation(
        name="a way out for local backups",
        law=check_networks,
        old='"database, web" if settings.backup.kind != "folder" else "database"',
        new="'database, web'",
    ),
    Mutation(
        name="no inputs label",
        law=check_labels,
        old="    labels: {synapse-bundle.inputs: {{ inputs.apache|tojson }}}\n",
    ),
    Mutation(
        name="another service's inputs label",
        law=check_labels,
        old="{{ inputs.synapse|tojson }}",
        new="{{ inputs.postgres|tojson }}",
    ),
    Mutation(
        name="a database with a way out", law=check_networks, old="{internal: true}", new="{}"
    ),
    Mutation(name="no restart", law=check_restarts, old="  restart: unless-stopped\n"),
    Mutation(name="no init", law=check_hangs, old="  init: true\n"),
    Mutation(name="a probe without end", law=check_hangs, old=" --timeout=8,", new=""),
    Mutation(
        name="nothing ends Synapse",
        law=check_hangs,
        old='sh, {{ topology.health.scripts }}/probe.sh, "22", ',
    ),
    Mutation(name="no nocanon", law=check_apache, template=APACHE, old=" nocanon"),
    Mutation(name="no retry=0", law=check_apache, template=APACHE, old=" retry=0"),
    Mutation(name="no addressttl", law=check_apache, template=APACHE, old=" addressttl=3"),
    *(
        Mutation(name=f"no {line}", law=check_apache, template=APACHE, old=f"  {line}\n")
        for line in sorted(DIRECTIVES)
    ),
]


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template tree, from which bundles are planned."""
    for name in ("compose", "images"):
        shutil.copytree(assets.locate(name), tmp_path / name)
    monkeypatch.setattr(assets, "locate", lambda name: tmp_path / name)
    return tmp_path / "compose"


def plan_now() -> Plan:
    """Plan from the templates as they are now."""
    return plan_settings(loading.load(SHAPE))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_missing_protection_is_noticed(
    mutation: Mutation,
    compose: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """A law holds for the templates as they are and fails without the protection; so do goldens."""
    mutation.law(plan_now())
    template = compose / mutation.template
    text = template.read_text()
    assert mutation.old in text
    template.write_text(text.replace(mutation.old, mutation.new))
    mutated = plan_now()
    with pytest.raises((AssertionError, KeyError)):
        mutation.law(mutated)
    if not request.config.getoption("--update-golden"):
        monkeypatch.setattr(test_golden, "plan_shape", lambda _: mutated)
        with pytest.raises(AssertionError):
            test_golden.test_bundle_is_as_reviewed(SHAPE, request)

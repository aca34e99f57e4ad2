"""`check federation NAME` is fit for people, pipes and programs, and trusts no root by accident."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from bundle_helper import cli, concurrency
from bundle_helper.federation import network
from bundle_helper.federation.names import parse_server_name
from bundle_helper.federation.proof import prove
from tests.helper.example_org import PLACES, ExampleOrg
from tests.helper.small_internet import VERSION, Reply, Site, matrix_pages
from tests.support.authority import Leaf, issue

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def command(
    internet: ExampleOrg, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Let the command look into the small internet, and return its environment."""
    monkeypatch.setattr(network, "open_network", internet.network)
    return environ


def check(environ: dict[str, str], *arguments: str, **options: Any) -> Result:
    """Run `check federation` as a person does through a pipe."""
    command = ["check", "federation", *arguments]
    outcome = CliRunner().invoke(cli.main, command, env=environ, **options)
    assert "Traceback" not in outcome.output
    return outcome


def certify(internet: ExampleOrg, issuer: Leaf) -> None:
    """Let both sites present certificates of an issuer."""
    internet.apex.present(issue("example.org", issuer))
    internet.matrix.present(issue("matrix.example.org", issuer))


def load_authority(environ: dict[str, str]) -> Leaf:
    """Return the bundle's own authority."""
    key = Path(environ["AUTHORITY_KEY_FILE"]).read_bytes()
    certificate = Path(environ["AUTHORITY_CERTIFICATE_FILE"]).read_bytes()
    return Leaf(
        certificate=x509.load_pem_x509_certificate(certificate),
        key=serialization.load_pem_private_key(key, None),  # type: ignore[arg-type]
    )


def test_a_good_server_is_shown_row_by_row(command: dict[str, str]) -> None:
    """The rows follow the way of another server, and the exit code is 0."""
    outcome = check(command, "example.org")
    assert outcome.exit_code == 0
    lines = outcome.output.splitlines()
    assert [line.partition("  ")[0].strip() for line in lines[:-1]] == ["ok"] * 7
    assert "leads to matrix.example.org:443, kept by others for 60 min" in lines[0]
    assert all(place in lines[1] for place in PLACES)
    assert "matrix.example.org, issued by public root of the tests, TLS 1.3" in lines[2]
    assert "ed25519:a_TEST, self-signature verified" in lines[3]
    assert "Synapse 1.157.2" in lines[6]
    assert lines[7] == "all 7 checks hold"


def test_a_bad_server_is_shown_with_cause_and_next_step(
    command: dict[str, str], internet: ExampleOrg
) -> None:
    """Each failed row has two more lines, and the exit code is 1."""
    internet.publish(valid_until_ts=1)
    outcome = check(command, "example.org")
    assert outcome.exit_code == 1
    lines = outcome.output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("FAILED"))
    assert "the keys have expired (valid_until_ts is 1)" in lines[at]
    assert lines[at + 1].strip().startswith("cause: ")
    assert lines[at + 2].strip().startswith("next: ")
    assert lines[-1] == "2 of 7 checks failed"


@pytest.mark.parametrize("good", [True, False])
def test_programs_get_json_and_the_same_exit_code(
    command: dict[str, str], internet: ExampleOrg, *, good: bool
) -> None:
    """With --json there is the report and nothing else."""
    if not good:
        internet.close()
    outcome = check(command, "example.org", "--json")
    assert json.loads(outcome.stdout)["FederationOK"] is good
    assert outcome.exit_code == (0 if good else 1)


def test_a_name_that_is_none_is_refused_in_one_line(command: dict[str, str]) -> None:
    """No request is made, and the line says what a server name is."""
    outcome = check(command, "https://example.org/\x1b[31m")
    assert outcome.exit_code == 1
    assert outcome.output == (
        "Error: 'https://example.org/?[31m' is not a Matrix server name: it is not host or"
        " host:port. Use the part after the colon of a user ID.\n"
    )


def test_strangers_words_do_not_move_the_terminal(
    command: dict[str, str], internet: ExampleOrg
) -> None:
    """What a server says of itself is shown without its control characters."""
    told = {"server": {"name": "\x1b[31mred\r\n", "version": "x" * 5000}}
    internet.answer(Reply(body=told), VERSION)
    for arguments in ((), ("--json",)):
        outcome = check(command, "example.org", *arguments)
        assert outcome.exit_code == 0
        assert "\x1b" not in outcome.output
        assert "\r" not in outcome.output
    assert len(check(command, "example.org").output) < 2000


def test_the_bundle_itself_may_be_private_and_this_is_reported(
    command: dict[str, str], internet: ExampleOrg
) -> None:
    """The own authority is enough for the own name, and is not taken for a public one."""
    certify(internet, load_authority(command))
    outcome = check(command, "example.org")
    assert outcome.exit_code == 0
    assert outcome.output.count("private: trusted only with this bundle's own roots") == 2
    report = json.loads(check(command, "example.org", "--json").stdout)
    trusted = {one["Info"]["TrustedBy"] for one in report["ConnectionReports"].values()}
    assert trusted == {"this bundle's own roots"}


def test_a_foreign_name_is_never_believed_by_the_bundles_authority(
    command: dict[str, str], internet: ExampleOrg
) -> None:
    """What this bundle's authority signed for another name counts for nothing."""
    certify(internet, load_authority(command))
    command["SERVER_NAME"] = "example.net"
    outcome = check(command, "example.org")
    assert outcome.exit_code == 1
    assert "does not lead to a known root" in outcome.output


@pytest.mark.parametrize("by", ["file", "standard input"])
def test_a_private_federation_names_its_root(
    command: dict[str, str], internet: ExampleOrg, tmp_path: Path, by: str
) -> None:
    """--root adds a root for this one question, from a file or from standard input."""
    private = issue("root of a private federation")
    certify(internet, private)
    assert check(command, "example.org").exit_code == 1
    file = tmp_path / "root.pem"
    file.write_text(private.pem)
    where = str(file) if by == "file" else "-"
    outcome = check(command, "example.org", "--root", where, input=private.pem)
    assert outcome.exit_code == 0
    assert "private: trusted only with " in outcome.output


@pytest.mark.parametrize("content", ["", "no certificate", "\udcff"])
def test_a_root_that_is_none_is_refused_in_one_line(
    command: dict[str, str], tmp_path: Path, content: str
) -> None:
    """No request is made with a root that would not have counted."""
    file = tmp_path / "root.pem"
    file.write_text(content, errors="surrogateescape")
    outcome = check(command, "example.org", "--root", str(file))
    assert outcome.exit_code == 1
    (line,) = outcome.output.splitlines()
    assert str(file) in line
    assert "PEM" in line


def test_a_real_process_proves_a_real_server(environ: dict[str, str], tmp_path: Path) -> None:
    """With this machine's own sockets, too: an IP address needs neither DNS nor well-known."""
    authority = issue("root of 127.0.0.1")
    (tmp_path / "root.pem").write_text(authority.pem)
    code = "from bundle_helper.cli import check; check()"
    with Site(issue("127.0.0.1", authority), {}) as site:
        name = f"127.0.0.1:{site.port}"
        site.pages |= matrix_pages(name)
        arguments = ["federation", name, "--json", "--root", str(tmp_path / "root.pem")]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**environ, "PYTHONPATH": str(REPOSITORY / "images" / "helper")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["FederationOK"] is True
    assert list(report["ConnectionReports"]) == [name]


def test_options_of_the_other_check_are_not_swallowed(command: dict[str, str]) -> None:
    """--json before `federation` would be lost, so it is refused with what to write."""
    outcome = CliRunner().invoke(cli.main, ["check", "--json", "federation", "x"], env=command)
    assert outcome.exit_code == 2
    assert "--json goes after `federation`" in outcome.output


def test_a_server_that_hangs_costs_its_stage_and_no_more(internet: ExampleOrg) -> None:
    """A server that accepts a connection and then says nothing is reported as such, in bounded time."""
    hanging = Site(issue("matrix.example.org", internet.root), {})
    internet.sites = {
        place: internet.apex if site is internet.apex else hanging
        for place, site in internet.sites.items()
    }
    try:
        proof = prove(parse_server_name("example.org"), internet.network(), patience=0.5)
    finally:
        hanging.server_close()
    assert not proof.ok
    assert {fault.detail.split(" ", 1)[1] for fault in proof.faults.values()} == {
        "did not answer in time"
    }


def test_an_errand_that_takes_too_long_is_left_behind() -> None:
    """The others' results come all the same, without waiting for the slow one."""
    released = Event()
    slow, quick = concurrency.run_all([lambda: released.wait(5), lambda: True], patience=0.1)
    released.set()
    assert isinstance(slow, TimeoutError)
    assert quick is True


def test_the_service_does_not_carry_the_proof(tmp_path: Path) -> None:
    """What runs for years imports nothing of what a person asks for now and then."""
    code = (
        "import sys, bundle_helper.cli, bundle_helper.service.certificate_duty, bundle_helper.service.__main__\n"
        "print([name for name in sys.modules if 'federation' in name or '.check' in name])"
    )
    path = {"PYTHONPATH": str(REPOSITORY / "images" / "helper")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

"""The certificates commands tell people and machines the same, and end with a true exit code."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from bundle_helper import cli
from tests.helper.conftest import Bundle


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["certificates", *arguments], env=environ)


def test_a_good_certificate_is_shown(bundle: Bundle) -> None:
    """Issuer, serial and dates; exit code 0."""
    done = run(bundle.environ, "status", "--json")
    content = json.loads(done.output)
    assert (done.exit_code, content["ok"], content["origin"]) == (0, True, "own-authority")
    assert content["serial"] in run(bundle.environ, "status").output
    assert content["warning"] < content["failure"] < content["valid_until"]


def test_nothing_published_is_an_error(environ: dict[str, str]) -> None:
    """Without a certificate the command says so and fails."""
    done = run(environ, "status")
    assert done.exit_code == 1
    assert "there is none yet" in done.output


@pytest.mark.parametrize("command", [["renew"], ["issue"], ["issue", "--staging"]])
def test_an_issuer_that_need_not_be_asked_is_not_asked(bundle: Bundle, command: list[str]) -> None:
    """The bundle's own authority issues by itself, and the command says so."""
    done = run(bundle.environ, *command, "--json")
    assert done.exit_code == 1
    assert "the helper publishes by itself" in json.loads(done.output)["problem"]


def test_an_unreachable_authority_is_explained(acme_environ: dict[str, str]) -> None:
    """What happened, why, and what to do; the failure is remembered and shown by status."""
    environ = {**acme_environ, "CERTIFICATE_ISSUER": "https://127.0.0.1:1/dir"}
    done = run(environ, "renew")
    assert done.exit_code == 1
    assert "the authority was not reached: the connection from this machine failed" in done.output
    content = json.loads(run(environ, "status", "--json").output)
    assert "was not reached" in content["problem"]
    assert content["failing_since"] < content["next_attempt"]
    assert "secretTOKEN" not in done.output + json.dumps(content)

"""What the double takes and refuses on the command line and in the environment."""

from __future__ import annotations

import pytest
from tunnel_double import RefusalError
from tunnel_double.command_line import parse_command_line

from tunnel_tests.double_process import run_double


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("version", "version"),
        ("--no-autoupdate tunnel --config F run", "tunnel run"),
        ("tunnel --config=F --metrics 127.0.0.1:1 --loglevel info run NAME", "tunnel run"),
        ("tunnel --edge-ip-version 4 --grace-period 20s run", "tunnel run"),
        ("tunnel --management-diagnostics=false run", "tunnel run"),
        ("--config F tunnel --no-autoupdate run --token-file T", "tunnel run"),
        ("tunnel --credentials-file C run --credentials-file D", "tunnel run"),
        ("tunnel --metrics :20241 ready", "tunnel ready"),
        ("tunnel --config F ingress validate", "tunnel ingress validate"),
    ],
)
def test_command_accepted(line: str, command: str) -> None:
    """A command line that cloudflared accepts is accepted."""
    parsed = parse_command_line(line.split(), {})
    assert parsed.command == command


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "a command is missing"),
        ("tunnel", "a command is missing"),
        ("tunnel start", "unknown command 'start'"),
        ("tunnel --confg F run", "not defined: -confg"),
        ("tunnel run --config F", "not defined: -config"),
        ("tunnel run --metrics A", "not defined: -metrics"),
        ("tunnel --token-file T run", "not defined: -token-file"),
        ("tunnel run --token SECRET", "not defined: -token"),
        ("tunnel ready --metrics A", "not defined: -metrics"),
        ("tunnel --config", "flag needs an argument"),
        ("tunnel run NAME --protocol http2", "accepts at most 1 argument"),
        ("tunnel --loglevel loud run", "'loud' is none of"),
        ("tunnel --edge-ip-version 5 run", "'5' is none of"),
        ("tunnel --grace-period 30 run", "'30' is not a duration"),
        ("tunnel --no-autoupdate=yes run", "neither true nor false"),
    ],
)
def test_command_refused(line: str, expected: str) -> None:
    """An unknown command, a flag in the wrong place and a value of the wrong kind are refused."""
    with pytest.raises(RefusalError, match=f"(?s).*{expected}"):
        parse_command_line(line.split(), {})


@pytest.mark.parametrize(
    "variables",
    [
        {"TUNNEL_METRIC": "127.0.0.1:20241"},
        {"TUNNEL_TOKEN": "secret"},
        {"TUNNEL_GRACE_PERIOD": "30"},
        {"NO_AUTOUPDATE": "yes"},
        {"https_proxy": "http://proxy.example.org"},
    ],
)
def test_variables_refused(variables: dict[str, str]) -> None:
    """A variable with no or another effect than intended is refused by name, not by value."""
    (name,) = variables
    with pytest.raises(RefusalError, match=name) as caught:
        parse_command_line(["tunnel", "run"], variables)
    assert "secret" not in str(caught.value).replace("place for a secret", "")


def test_precedence() -> None:
    """The command line wins over a variable, and a later level over an earlier one."""
    given = parse_command_line(
        ["tunnel", "--protocol", "quic", "--loglevel", "warn", "run", "--protocol", "http2"],
        {"TUNNEL_LOGLEVEL": "debug", "TUNNEL_GRACE_PERIOD": "20s"},
    ).given
    assert given == {"protocol": "http2", "loglevel": "warn", "grace-period": 20.0}


def test_unknown_flag_exit_code() -> None:
    """A refusal is exit code 1 and a message."""
    ended = run_double("tunnel", "--nonsense", "run")
    assert (ended.returncode, "-nonsense" in ended.stderr) == (1, True)


def test_version() -> None:
    """`version` names the release that the double models."""
    ended = run_double("version")
    assert ended.returncode == 0
    assert "2026.8.2" in ended.stdout

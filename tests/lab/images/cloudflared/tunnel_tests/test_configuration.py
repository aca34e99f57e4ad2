"""What the double refuses in a configuration file."""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml
from tunnel_double.durations import parse_duration

from tunnel_tests.authority import HOST
from tunnel_tests.double_process import (
    TUNNEL,
    Files,
    refuse_to_run,
    run_double,
    write_yaml,
)

CATCH_ALL: Final = {"service": "http_status:404"}
SITE: Final = {"hostname": HOST, "service": "https://apache:443"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tunel": TUNNEL}, "unknown key 'tunel'"),
        ({"ingress": [SITE | {"host": HOST}, CATCH_ALL]}, "unknown key 'host'"),
        ({"ingress": [SITE | {"originRequest": {"noTlsVerify": True}}, CATCH_ALL]}, "noTlsVerify"),
        ({"originRequest": {"connectTimeout": 30}}, "connectTimeout: 30 is of the wrong kind"),
        ({"originRequest": {"connectTimeout": "30"}}, "'30' is not a duration"),
        ({"originRequest": {"keepAliveConnections": "9"}}, "keepAliveConnections"),
        ({"originRequest": {"http2Origin": True}}, "http2Origin"),
        ({"ingress": [SITE]}, "The last ingress rule must match all URLs"),
        ({"ingress": [CATCH_ALL, SITE, CATCH_ALL]}, "Rule #1 is matching the hostname ''"),
        ({"ingress": [SITE | {"hostname": f"{HOST}:443"}, CATCH_ALL]}, "cannot contain a port"),
        ({"ingress": [SITE | {"hostname": "a.*.org"}, CATCH_ALL]}, "at most one wildcard"),
        ({"ingress": [SITE | {"service": "apache:443"}, CATCH_ALL]}, "a scheme and a hostname"),
        ({"ingress": [SITE | {"service": "https://apache/"}, CATCH_ALL]}, "different path"),
        ({"ingress": [SITE | {"path": "("}, CATCH_ALL]}, "Rule #1 has an invalid regex"),
        ({"ingress": [{"service": "http_status:99"}]}, "invalid HTTP status code: 99"),
        ({"ingress": [{"service": "http_status:1000"}]}, "invalid HTTP status code: 1000"),
        ({"ingress": []}, "doesn't contain any ingress rules"),
        ({"edge-ip-version": 4}, "edge-ip-version: 4 is of the wrong kind"),
        ({"management-diagnostics": False}, "has no effect"),
        ({"loglevel": "chatty"}, "'chatty' is none of"),
        ({"grace-period": "4m"}, "grace-period must be equal or less than"),
    ],
)
def test_configuration_refused(files: Files, change: dict[str, Any], expected: str) -> None:
    """A configuration that cloudflared refuses or passes over in part keeps the double down."""
    content = yaml.safe_load(files.configuration.read_text())
    write_yaml(files.configuration, content | change)
    assert expected in refuse_to_run(files)


def test_all_problems_at_once(files: Files) -> None:
    """Every unknown key is named in one go."""
    content = yaml.safe_load(files.configuration.read_text())
    write_yaml(files.configuration, content | {"one": 1, "two": 2})
    message = refuse_to_run(files)
    assert "'one'" in message
    assert "'two'" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "was empty"),
        ("tunnel: a\ntunnel: b\n", "already set"),
        ("tunnel: [", "error parsing YAML"),
        ("no-autoupdate: yes\n", "of the wrong kind"),
    ],
)
def test_text_refused(files: Files, text: str, expected: str) -> None:
    """A file is read as Go reads it: no key twice, and yes is a word."""
    files.configuration.write_text(text)
    assert expected in refuse_to_run(files)


def test_absent_files(files: Files) -> None:
    """A configuration, an authority or credentials that are not there keep the double down."""
    content = yaml.safe_load(files.configuration.read_text())
    absent = str(files.configuration.with_name("absent"))
    assert absent in refuse_to_run(files, "tunnel", "--config", absent, "run")
    write_yaml(files.configuration, content | {"credentials-file": absent})
    assert f"'{absent}' doesn't exist" in refuse_to_run(files)
    content["ingress"][0]["originRequest"]["caPool"] = absent
    write_yaml(files.configuration, content)
    assert f"unable to read the file {absent}" in refuse_to_run(files)
    content["ingress"][0]["originRequest"]["caPool"] = str(files.credentials)
    write_yaml(files.configuration, content)
    assert "Error loading cert pool" in refuse_to_run(files)


def test_validate(files: Files) -> None:
    """`ingress validate` says OK for good rules and why not for others."""
    words = ("tunnel", "--config", str(files.configuration), "ingress", "validate")
    good = run_double(*words)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "OK")
    write_yaml(files.configuration, {"ingress": [SITE]})
    bad = run_double(*words)
    assert (bad.returncode, "OK" in bad.stdout) == (1, False)
    assert "Validation failed: The last ingress rule" in bad.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("250ms", 0.25), ("0", 0.0)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are read as Go reads them."""
    assert parse_duration(text, "here") == pytest.approx(seconds)

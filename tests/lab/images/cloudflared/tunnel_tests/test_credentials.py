"""What the double refuses in a credentials file."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml

from tunnel_tests.double_process import (
    SECRET,
    TUNNEL,
    Files,
    Tunnel,
    refuse_to_run,
    run_tunnel,
    write_credentials,
    write_yaml,
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"TunnelSecret": None}, "TunnelSecret is missing"),
        ({"TunnelSecret": "****" + SECRET}, "TunnelSecret is not base64"),
        ({"TunnelSecret": base64.b64encode(b"short").decode()}, "32 bytes or more"),
        ({"AccountTag": ""}, "AccountTag is empty"),
        ({"TunnelID": "home"}, "TunnelID is not a UUID"),
        ({"TunnelID": "00000000-0000-4000-8000-000000000000"}, f"not for {TUNNEL}"),
        ({"Secret": SECRET}, "Secret is unknown"),
    ],
)
def test_credentials_refused(files: Files, changes: dict[str, Any], expected: str) -> None:
    """Credentials that do not fit are refused without a word of the secret."""
    write_credentials(files.credentials, **changes)
    message = refuse_to_run(files)
    assert expected in message
    assert SECRET not in message


def test_credentials_malformed(files: Files) -> None:
    """A credentials file that is not JSON is refused without showing it."""
    files.credentials.write_text(SECRET)
    message = refuse_to_run(files)
    assert "invalid JSON" in message
    assert SECRET not in message


def test_secret_unseen(tunnel: Tunnel) -> None:
    """Neither the log nor the metrics of a running tunnel show the secret."""
    tunnel.visit()
    assert SECRET not in tunnel.log.read_text()
    assert SECRET not in json.dumps(tunnel.ask_readiness()[1])


def test_token_file(files: Files) -> None:
    """A token file serves in place of the credentials file, if it is for the same tunnel."""
    content = yaml.safe_load(files.configuration.read_text())
    del content["credentials-file"]
    write_yaml(files.configuration, content)
    token = files.credentials.with_suffix(".token")
    short = {"a": "account", "s": SECRET, "t": TUNNEL}
    token.write_bytes(base64.b64encode(json.dumps(short).encode()) + b"\n")
    with run_tunnel(files, TUNNEL_TOKEN_FILE=str(token)) as tunnel:
        assert tunnel.visit().status == 200
    token.write_text("no token")
    assert "token is not valid" in refuse_to_run(files, TUNNEL_TOKEN_FILE=str(token))

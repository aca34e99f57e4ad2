"""docs/cloudflare.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from synapse_bundle.cloudflare import permissions
from synapse_bundle.cloudflare.kinds.registry import FIXES, REPLACEABLE
from tests.cloudflare.command_line import Shell

# What the document has for what is different in every account.
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TUNNEL = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
BUNDLE = "k3x9m2pq"


@pytest.fixture
def text(repository: Path) -> str:
    """The document."""
    return (repository / "docs/cloudflare.md").read_text()


def find_block(text: str, command: str) -> list[str]:
    """Return the lines that the document shows for a command, without those that say `…`."""
    block = re.search(rf"(?m)^    \$ {re.escape(command)}\n((?:    .*\n|\n(?=    ))+)", text)
    assert block, command
    lines = [line.removeprefix("    ") for line in block[1].splitlines()]
    return [line for line in lines if line and line != "…"]


def test_the_outputs_are_real(shell: Shell, text: str) -> None:
    """Every line that is shown is printed, in this order."""
    for command in ("plan", "apply", "status", "destroy --yes"):
        if command == "apply":
            assert shell.cloudflare("apply", "--yes").code == 0
        if command == "status":
            (tunnel,) = shell.simulation.account.tunnels.values()
            tunnel["connections"] = [{"id": str(each)} for each in range(4)]
        printed = normalize(shell, shell.cloudflare(*shlex.split(command)).output)
        for line in find_block(text, f"synapse-bundle cloudflare {command}"):
            assert line in printed, f"{command}: {line}"
            printed = printed[printed.index(line) + 1 :]


def normalize(shell: Shell, output: str) -> list[str]:
    """Return printed lines with the document's identifiers."""
    output = output.replace(shell.simulation.account.id, ACCOUNT)
    for tunnel in shell.simulation.account.tunnels.values():
        identity = tunnel["name"].split()[-1]
        output = output.replace(tunnel["id"], TUNNEL).replace(identity, BUNDLE)
    return output.splitlines()


def test_every_permission_and_option_is_documented(text: str) -> None:
    """By the dashboard's names."""
    rows = {
        f"{a} → {b}: {c}" for a, b, c in re.findall(r"(?m)^ +\| (\w+) \| ([^|]+) \| (\w+) \|", text)
    }
    desired = {
        value
        for value in vars(permissions).values()
        if isinstance(value, str) and "→" in value and value != permissions.ACCOUNT_TOKENS
    }
    assert rows == desired
    assert "*Account → Account API Tokens → Edit*" in text
    for name in FIXES:
        assert f"| `{name}` |" in text
    for part in REPLACEABLE:
        assert f"`--replace {part}`" in text

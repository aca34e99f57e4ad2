"""Run one command of the double; exit code 0 or 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tunnel_double import VERSION, RefusalError
from tunnel_double.command_line import Invocation, parse_command_line
from tunnel_double.flags import Value
from tunnel_double.readiness import check_readiness

Command = Callable[[Invocation, Mapping[str, str]], None]

_CONFIGURATION_PLACES: Final = tuple(
    Path(folder, name)
    for folder in ("/etc/cloudflared", "/usr/local/etc/cloudflared")
    for name in ("config.yml", "config.yaml")
)


def find_configuration(invocation: Invocation) -> Path | None:
    """Return the configuration file: the one named, else the first in cloudflared's own places."""
    if "config" in invocation.given:
        return Path(str(invocation.given["config"]))
    return next((path for path in _CONFIGURATION_PLACES if path.is_file()), None)


def print_version(invocation: Invocation, _environment: Mapping[str, str]) -> None:
    """Print which release of cloudflared this double models."""
    short = invocation.given.get("short")
    print(VERSION if short else f"cloudflared version {VERSION} (built for the lab: a double)")


def probe(invocation: Invocation, _environment: Mapping[str, str]) -> None:
    """Ask the metrics server at --metrics whether the tunnel is ready."""
    given: dict[str, Value] = dict(invocation.given)
    path = find_configuration(invocation)
    if path is not None:
        # Parsing YAML is slow beside the probe itself, so only who names a file pays for it.
        from tunnel_double.configuration import read_configuration

        given = {**read_configuration(path).settings, **given}
    if "metrics" not in given:
        msg = "--metrics has to be provided"
        raise RefusalError(msg)
    check_readiness(str(given["metrics"]))


def validate(invocation: Invocation, _environment: Mapping[str, str]) -> None:
    """Check the configuration file and its ingress rules; print OK."""
    from tunnel_double.configuration import read_configuration
    from tunnel_double.ingress import validate_ingress

    path = find_configuration(invocation)
    if path is None:
        msg = "No configuration file was found. Please create one, or use the --config flag"
        raise RefusalError(msg)
    print(f"Validating rules from {path}")
    try:
        validate_ingress(read_configuration(path).rules)
    except RefusalError as refusal:
        msg = f"Validation failed: {refusal}"
        raise RefusalError(msg) from None
    print("OK")


def run(invocation: Invocation, environment: Mapping[str, str]) -> None:
    """Run the tunnel until a signal ends it."""
    from tunnel_double.running import run_tunnel

    run_tunnel(invocation, find_configuration(invocation), environment)


COMMANDS: Mapping[str, Command] = {
    "version": print_version,
    "tunnel run": run,
    "tunnel ready": probe,
    "tunnel ingress validate": validate,
}


def main() -> int:
    """Run the command that the arguments name; return the exit code."""
    try:
        invocation = parse_command_line(sys.argv[1:], os.environ)
        COMMANDS[invocation.command](invocation, os.environ)
    except RefusalError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

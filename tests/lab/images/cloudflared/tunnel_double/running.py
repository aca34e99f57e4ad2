"""What `cloudflared tunnel run` puts together before the tunnel serves."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tunnel_double import RefusalError
from tunnel_double.command_line import Invocation
from tunnel_double.configuration import Configuration, read_configuration
from tunnel_double.credentials import Credentials, check_tunnel, read_credentials, read_token
from tunnel_double.edge import Limits
from tunnel_double.flags import FLAGS, Value
from tunnel_double.ingress import validate_ingress
from tunnel_double.metrics import DEFAULT_ADDRESSES
from tunnel_double.service import Plan, serve

_LONGEST_GRACE_PERIOD: Final = 180.0
_PUBLIC_ADDRESS: Final = "0.0.0.0:8880"
# Levels as zerolog writes them.
_LEVELS: Final = {"debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR", "fatal": "FTL"}


def run_tunnel(
    invocation: Invocation, configuration: Path | None, environment: Mapping[str, str]
) -> None:
    """Run the tunnel until a signal ends it; raise RefusalError for whatever keeps it from starting."""
    if configuration is None:
        msg = "no configuration file: a tunnel managed from the dashboard is not modelled"
        raise RefusalError(msg)
    content = read_configuration(configuration)
    values = resolve_values(invocation, content)
    reference = next(iter(invocation.arguments), content.tunnel)
    credentials = find_credentials(values, reference)
    plan = Plan(
        tunnel=credentials.tunnel,
        rules=validate_ingress(content.rules),
        metrics_addresses=(str(values["metrics"]),) if "metrics" in values else DEFAULT_ADDRESSES,
        public_address=environment.get("LAB_PUBLIC_ADDRESS", _PUBLIC_ADDRESS),
        grace_period=_check_grace_period(values),
        limits=read_limits(environment),
    )
    asyncio.run(serve(plan, build_log(str(values["loglevel"]))))


def resolve_values(invocation: Invocation, content: Configuration) -> Mapping[str, Value]:
    """Return every flag's value: command line before variable before file before default."""
    defaults = {flag.name: flag.default for flag in FLAGS if flag.default is not None}
    return {**defaults, **content.settings, **invocation.given}


def find_credentials(values: Mapping[str, Value], reference: str) -> Credentials:
    """Return the tunnel's credentials; a token takes precedence over a credentials file.

    Raises RefusalError when there are none, or they are for another tunnel than the reference's.
    """
    if "token-file" in values:
        credentials = read_token(Path(str(values["token-file"])))
    elif not reference:
        msg = (
            '"cloudflared tunnel run" requires the ID or name of the tunnel to run as the last '
            "command line argument or in the configuration file."
        )
        raise RefusalError(msg)
    elif "credentials-file" not in values:
        msg = "tunnel credentials file not found; name it with credentials-file"
        raise RefusalError(msg)
    else:
        credentials = read_credentials(Path(str(values["credentials-file"])))
    check_tunnel(credentials, reference)
    return credentials


def _check_grace_period(values: Mapping[str, Value]) -> float:
    period = float(values["grace-period"])
    if period > _LONGEST_GRACE_PERIOD:
        msg = f"grace-period must be equal or less than {_LONGEST_GRACE_PERIOD:.0f}s"
        raise RefusalError(msg)
    return period


def read_limits(environment: Mapping[str, str]) -> Limits:
    """Return the edge's limits; a test may lower two of them, so as not to wait or send as much."""
    standard = Limits()
    return Limits(
        body=int(environment.get("LAB_BODY_BYTES", standard.body)),
        response=float(environment.get("LAB_RESPONSE_SECONDS", standard.response)),
    )


def build_log(level: str) -> logging.Logger:
    """Return a log on the error output, in the form of cloudflared's."""
    for name, short in _LEVELS.items():
        logging.addLevelName(logging.getLevelNamesMapping()[name.upper()], short)
    formatter = logging.Formatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    log = logging.getLogger("tunnel_double")
    log.addHandler(handler)
    log.setLevel(_LEVELS[level])
    return log

"""Two domains on one host that trust each other's authority."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NEIGHBORS_ROOT: Final = "/etc/neighbor.pem"
# A neighbor on the same host has a private address, and an authority of its own.
FEDERATION: Final = f"""\
federation_custom_ca_list: [{NEIGHBORS_ROOT}]
ip_range_whitelist: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]
trusted_key_servers: []
"""


def trust(neighbor: Path) -> str:
    """Return the override that shows two services the authority of another test's bundle."""
    authority = neighbor / "bundle" / "secrets" / "authority.pem"
    volumes = f"{{volumes: ['{authority}:{NEIGHBORS_ROOT}:ro']}}"
    return f"synapse: {volumes}\nhelper: {volumes}\n"

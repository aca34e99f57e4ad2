"""Everything that `generate` would refuse, tried before anything changes at Cloudflare."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .. import pipeline
from ..credentials import file_names
from ..settings.model import Settings

# Placeholders for the secrets that an apply has yet to get.
_TOKEN: Final = "_" * 40
_CREDENTIAL: Final = json.dumps(
    {
        "AccountTag": "0" * 32,
        "TunnelSecret": base64.b64encode(bytes(32)).decode(),
        "TunnelID": "00000000-0000-0000-0000-000000000000",
    }
)


def require_writable(
    settings: Settings, bundle: Path, base: Path, given: Mapping[str, str]
) -> None:
    """Raise BundleError or SettingsError for what would keep the bundle from being written."""
    placeholders = {file_names.TUNNEL: _CREDENTIAL, file_names.TOKEN: _TOKEN}
    pipeline.rehearse(settings, bundle, base, placeholders | dict(given))

"""Everything that `generate` would refuse, tried before anything changes at Cloudflare."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .. import comparison, credentials, generation, imports, manifest, planning, writing
from ..settings import Settings

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
    writing.check_output(bundle)
    writing.check_neighbour(bundle, settings.project)
    known = manifest.read(bundle, force=False)
    placeholders = {imports.TUNNEL: _CREDENTIAL, imports.TOKEN: _TOKEN}
    secrets = credentials.collect(bundle, settings, base, placeholders | dict(given))
    plan = planning.plan(settings, secrets, planning.read_kept(bundle))
    generation.refuse_conflicts(comparison.compare(plan, bundle, known, force=False))

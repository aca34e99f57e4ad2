"""Print which requests Synapse's main process and a worker register: JSON, in order of registration.

Runs with Synapse's Python, in its image: `bin/update_routes.py` passes it by standard input.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from synapse._scripts.generate_workers_map import (  # type: ignore[import-not-found]
    get_registered_paths_for_default,
)
from synapse.config.homeserver import HomeServerConfig  # type: ignore[import-not-found]

KEY = "ed25519 a_Test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"
APPS = {"main": None, "worker": "synapse.app.generic_worker"}

with tempfile.TemporaryDirectory() as folder:
    key = Path(folder, "signing.key")
    key.write_text(KEY, encoding="ascii")
    config = HomeServerConfig()
    values = {
        "server_name": "example.org",
        "signing_key_path": str(key),
        "media_store_path": folder,
        "macaroon_secret_key": "none",
        "form_secret": "none",
        "report_stats": False,
        "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
    }
    config.parse_config_dict(values, "", "")
    registry = {
        name: [
            [method, pattern, entry.servlet_class.__name__]
            for (method, pattern), entry in get_registered_paths_for_default(app, config).items()
        ]
        for name, app in APPS.items()
    }
json.dump(registry, sys.stdout)

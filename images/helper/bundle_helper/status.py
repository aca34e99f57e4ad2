"""The files in the state directory by which the helper's processes say how things are.

Each duty leaves `<duty>.json`; from these the supervisor makes the status.
"""

from __future__ import annotations

CERTIFICATE, CLAIM, ACCOUNTS, WATCH = "certificate", "claim", "accounts", "watch"
UPDATES = "updates"
# Only in a cluster.
PUBLICATION = "publication"
STATUS_FILE = "status.json"

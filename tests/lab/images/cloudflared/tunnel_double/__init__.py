"""A stand-in for cloudflared and for the Cloudflare edge in front of it.

One process plays both: it reads the command line, the configuration file and the credentials that
cloudflared reads, and serves the public side on a plain HTTP port instead of the internet.
Wherever cloudflared only warns, the double refuses, so that a fault shows in a test.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "2026.8.2"
"""The release of cloudflared whose rules are modelled here."""


class RefusalError(Exception):
    """What keeps the double from its work; ends the process with exit code 1."""

"""Run the fake internet by hand: `python3 -m tests.acme DIRECTORY`, until it is interrupted."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.acme.internet import CONTROL_PORT, TOKEN, run_internet


def main(folder: Path) -> None:
    """Start it, say how to use it, and wait for a signal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder.mkdir(parents=True, exist_ok=True)
    with run_internet(folder) as internet:
        print(
            f"network:             {internet.network}\n"
            f"resolver:            {internet.resolver}\n"
            f"CLOUDFLARE_BASE_URL: {internet.api}\n"
            f"directories:         {internet.directory()} {internet.directory('brief')}\n"
            f"roots:               {internet.trust}\n"
            f"token:               {TOKEN}\n"
            f"control:             http://{internet.resolver}:{CONTROL_PORT}/state /switches /reset",
            flush=True,
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""`python3 -m bundle_helper.service DUTY` does one duty once and ends; `supervisor` says when."""

from __future__ import annotations

import sys

from .duties import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

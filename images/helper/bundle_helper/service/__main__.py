"""`python3 -m bundle_helper.service DUTY` does one duty once and ends; `supervisor` says when."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from .. import status
from ..errors import HelperError
from ..settings.service_settings import ServiceSettings
from .supervisor import tell

if TYPE_CHECKING:
    from types import FrameType

_INTERRUPTED: Final = 130


def main(duty: str) -> int:
    """Do one duty with the container's settings; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        _do(duty, ServiceSettings.from_environ(os.environ))
    except HelperError as error:
        tell(f"{duty}: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _do(duty: str, settings: ServiceSettings) -> None:
    # Each import is for its duty alone: every process stays as small as it can be.
    if duty == status.CERTIFICATE:
        from .certificate_duty import keep_certificate  # noqa: PLC0415

        keep_certificate(settings.certificate, os.environ)
    elif duty == status.CLAIM:
        from .claim_duty import keep_claim  # noqa: PLC0415

        keep_claim(settings)
    elif duty == status.PUBLICATION:
        from .publication_duty import keep_publication  # noqa: PLC0415

        keep_publication(settings)
    elif duty == status.ACCOUNTS:
        from ..accounts.registration import ensure_accounts  # noqa: PLC0415
        from .accounts_duty import make_accounts  # noqa: PLC0415

        make_accounts(settings, ensure_accounts)
    elif duty == status.WATCH:
        from ..monitoring.watch import keep_watch  # noqa: PLC0415

        keep_watch(settings, tell)
    elif duty == status.UPDATES:
        from .updates_duty import keep_informed  # noqa: PLC0415

        keep_informed(settings)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

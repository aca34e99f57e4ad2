"""Changes to the helper's processes that only tests may make.

The waits that are there for the width of the real internet are shortened: this one is one host. All
that a process sleeps, and what passes until it looks again soon, is multiplied by TEST_PACE.
Where TEST_CRASH_AT holds a number n, the process kills itself at its n-th step of publishing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Final

from bundle_helper.certificates.propagation import Patience

_DEFAULTS: Final = Patience.__init__.__kwdefaults__
if _DEFAULTS is None or set(_DEFAULTS) != {"floor", "ceiling", "blind"}:
    raise RuntimeError("the helper's patience has other fields than the tests shorten")
_DEFAULTS.update({name: float(os.environ[f"TEST_{name.upper()}"]) for name in _DEFAULTS})

_PACE: Final = float(os.environ["TEST_PACE"])
# A shorter sleep is between two looks, and costs more the shorter it is.
_SHORTEST: Final = 0.5
_sleep: Final = time.sleep


def sleep(seconds: float) -> None:
    """Sleep for a part of what is asked for."""
    _sleep(seconds * _PACE if seconds >= _SHORTEST else seconds)


time.sleep = sleep  # type: ignore[assignment]

# Only the process of the duty needs what its module imports.
if sys.orig_argv[-1] == "claim":
    from bundle_helper.service import claim_duty

    claim_duty._SOON_SECONDS *= _PACE  # type: ignore[misc]
elif sys.orig_argv[-1] == "certificate":
    from bundle_helper.service import certificate_duty

    certificate_duty._SOON *= _PACE  # type: ignore[misc]

_PUBLISHED: Final = "/certificates/"
_STEPS: Final = {"open", "os.link", "os.rename", "os.remove", "os.chmod", "os.chown", "os.truncate"}


def touches_published(arguments: tuple[object, ...]) -> bool:
    """Return whether a step names one of the published files; later ones may name a descriptor."""
    return any(_PUBLISHED in str(one) for one in arguments)


def crash_at(last: int) -> None:
    """End this process as SIGKILL does before its `last`-th change of the published files."""
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event not in _STEPS or not (touches_published(arguments) or steps):
            return
        if event == "open" and not int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR):
            return
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if os.environ.get("TEST_CRASH_AT") and "certbot" not in " ".join(sys.orig_argv):
    crash_at(int(os.environ["TEST_CRASH_AT"]))

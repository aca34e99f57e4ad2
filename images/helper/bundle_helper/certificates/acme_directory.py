"""What an ACME authority says of itself in its directory (RFC 8555, section 7.1.1)."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from ..errors import HelperError
from ..settings.issuers import DIRECTORIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..settings.issuers import Acme

_LETSENCRYPT_CAA: Final = ("letsencrypt.org",)
_TIMEOUT_SECONDS: Final = 20.0


def read_caa_names(acme: Acme, root_file: Path | None) -> Sequence[str]:
    """Return the names that permit this authority in CAA records; empty if it publishes none.

    HelperError if the authority does not answer or does not offer the wanted profile.
    """
    if acme.name in DIRECTORIES and not acme.profile:
        return _LETSENCRYPT_CAA
    meta = _read_meta(acme.directory, root_file)
    offered = meta.get("profiles", {})
    if acme.profile and acme.profile not in offered:
        raise HelperError(
            f"the authority does not offer the profile {acme.profile!r}; it offers"
            f" {', '.join(offered) or 'none'}."
            " Change certificates.profile, or leave it out, then `make generate`."
        )
    return [str(name) for name in meta.get("caaIdentities", [])]


def _read_meta(directory: str, root_file: Path | None) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(root_file) if root_file else None)
    try:
        with urllib.request.urlopen(  # noqa: S310 (an https URL, as the settings demand)
            directory, timeout=_TIMEOUT_SECONDS, context=context
        ) as answer:
            content = json.load(answer)
    except (OSError, ValueError) as error:
        raise HelperError(f"the authority at {directory} does not answer: {error}") from error
    meta = content.get("meta", {}) if isinstance(content, dict) else {}
    return meta if isinstance(meta, dict) else {}

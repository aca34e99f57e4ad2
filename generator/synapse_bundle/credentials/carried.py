"""The secrets of a server that is imported, as the bundle's files: with them its sessions go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ..errors import SettingsError
from . import signing_keys
from .file_names import OLD_SIGNING_KEYS, PASSWORD_PEPPER, SIGNING_KEY
from .generated import CHECKS
from .signing_keys import ExpiredKey

_TEXTS: Final = ("macaroon_secret_key", "form_secret", PASSWORD_PEPPER)


def convert(found: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return the content of secret files by their names, from what the helper found.

    The first signing key signs; the others are old ones, which expire `now`. What the other server has not,
    or a bundle could not hold, is left out: then its own is used. SettingsError if a key is unusable.
    """
    first, *others = found["signing_keys"]
    old = [
        *_read_old(found["old_signing_keys"]),
        *(signing_keys.expire(key, now) for key in others),
    ]
    texts = {name: str(found[name]) for name in _TEXTS if found[name]}
    values = {name: text for name, text in texts.items() if not CHECKS[name](text)}
    values[SIGNING_KEY] = first
    if old:
        values[OLD_SIGNING_KEYS] = signing_keys.write_old(old)
    problems = [
        f"{name}: {fault}" for name, text in values.items() if (fault := CHECKS[name](text))
    ]
    if PASSWORD_PEPPER in texts.keys() - values.keys():
        problems.append("password_config.pepper: is not one line")
    if problems:
        raise SettingsError("This server cannot be imported; nothing was changed.", problems)
    return values


def _read_old(document: Mapping[str, Any]) -> list[ExpiredKey]:
    try:
        return [
            ExpiredKey(id=str(name), public=str(key["key"]), expired=int(key["expired_ts"]))
            for name, key in document.items()
        ]
    except (KeyError, TypeError, ValueError):
        raise SettingsError(
            "This server cannot be imported; nothing was changed.",
            ["old_signing_keys: is not of the form {'ed25519:VERSION': {key: …, expired_ts: …}}"],
        ) from None

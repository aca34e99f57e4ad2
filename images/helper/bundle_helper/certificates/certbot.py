"""How certbot is asked: its arguments and its environment, as pure values. No secret is in them."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import HelperError
from ..settings.issuers import DIRECTORIES, LETSENCRYPT, STAGING
from . import lineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..settings.issuers import AcmeSettings
    from ..settings.service_settings import ServiceSettings

# The entry point in metadata/entry_points.txt; certbot's names for options follow from it.
AUTHENTICATOR = "dns-bundle"
# What begins so in certbot's output is progress for a person.
PROGRESS = "progress: "
# The package has no __main__; its script need not be where this Python is.
_CERTBOT = "import sys; from certbot.main import main; sys.exit(main())"
_LETSENCRYPT_CAA = ("letsencrypt.org",)
_TIMEOUT_SECONDS = 20.0
# Cloudflare's library would take an account's e-mail and key before the token.
_UNWANTED = ("CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to ask for: `renew` even if it is not due, or a `rehearsal` that keeps nothing."""

    renew: bool = False
    rehearsal: bool = False


def certbot_arguments(settings: ServiceSettings, acme: AcmeSettings, wish: Wish) -> list[str]:
    """Return the command that obtains the certificate, or leaves it be if it is not due."""
    directory = acme.lineages_directory
    plugin = AUTHENTICATOR
    return [
        *(sys.executable, "-c", _CERTBOT, "certonly", "--non-interactive", "--agree-tos"),
        *("--email", acme.email, "--no-eff-email"),
        *("--server", rehearsal_directory(acme.directory) if wish.rehearsal else acme.directory),
        *("--config-dir", str(directory)),
        *("--work-dir", str(directory / "work"), "--logs-dir", str(directory / "logs")),
        *("--max-log-backups", "20", "--no-directory-hooks"),
        *("--cert-name", lineage.name(settings.certificate_issuer, settings.homeserver)),
        *(part for name in settings.certificate_names for part in ("--domain", name)),
        *("--authenticator", plugin, f"--{plugin}-token-file", str(acme.token_file)),
        *("--preferred-challenges", "dns-01"),
        *(["--key-type", acme.key_type] if acme.key_type else []),
        *(["--required-profile", acme.profile] if acme.profile else []),
        *(["--dry-run"] if wish.rehearsal else []),
        "--force-renewal" if wish.renew else "--keep-until-expiring",
    ]


def rehearsal_directory(directory: str) -> str:
    """Return where to rehearse: Let's Encrypt has a second authority for that, others have none."""
    return STAGING if directory in {LETSENCRYPT, STAGING} else directory


def certbot_environment(settings: ServiceSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for certbot: without an account's keys, with the private root."""
    kept = {name: value for name, value in environ.items() if name not in _UNWANTED}
    # The root file system is read-only: certbot's own temporary files go to the tmpfs.
    kept["TMPDIR"] = str(settings.state_directory)
    if settings.root_file is not None:
        kept["REQUESTS_CA_BUNDLE"] = str(settings.root_file)
    return kept


def permitting_names(settings: ServiceSettings, acme: AcmeSettings) -> Sequence[str]:
    """Return the names that permit this authority in CAA records; none if it tells none.

    HelperError if the authority does not answer or does not offer the wanted profile.
    """
    if settings.certificate_issuer in DIRECTORIES and not acme.profile:
        return _LETSENCRYPT_CAA
    meta = _read_meta(acme.directory, settings.root_file)
    offered = meta.get("profiles", {})
    if acme.profile and acme.profile not in offered:
        raise HelperError(
            f"the authority offers no profile {acme.profile!r}, but {', '.join(offered) or 'none'}."
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

"""How certbot is run: its arguments and its environment, as pure values without a secret."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..settings.issuers import LETSENCRYPT, STAGING
from .lineage import find_lineage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings.certificate_settings import CertificateSettings
    from ..settings.issuers import Acme

# The entry point in pyproject.toml; certbot's names for options follow from it.
_AUTHENTICATOR: Final = "dns-bundle"
# What begins so in certbot's output is progress for a person.
PROGRESS: Final = "progress: "
# The package has no __main__; its script need not be where this Python is.
_CERTBOT: Final = "import sys; from certbot.main import main; sys.exit(main())"
# Cloudflare's library would take an account's email and key before the token.
_UNWANTED: Final = ("CLOUDFLARE_EMAIL", "CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What to ask for: `force` a renewal that is not due, or a `rehearsal` that keeps nothing."""

    force: bool = False
    rehearsal: bool = False


def build_arguments(settings: CertificateSettings, acme: Acme, attempt: Attempt) -> list[str]:
    """Return the command that obtains the certificate, or leaves it alone if it is not due."""
    lineage, plugin = find_lineage(acme, settings.homeserver), _AUTHENTICATOR
    directory = lineage.directory
    return [
        *(sys.executable, "-c", _CERTBOT, "certonly", "--non-interactive", "--agree-tos"),
        *("--email", acme.email, "--no-eff-email"),
        *("--server", _rehearsal_directory(acme) if attempt.rehearsal else acme.directory),
        *("--config-dir", str(directory)),
        *("--work-dir", str(directory / "work"), "--logs-dir", str(directory / "logs")),
        *("--max-log-backups", "20", "--no-directory-hooks"),
        *("--cert-name", lineage.name),
        *(part for name in settings.names for part in ("--domain", name)),
        *("--authenticator", plugin, f"--{plugin}-token-file", str(acme.token_file)),
        *("--preferred-challenges", "dns-01"),
        *(["--key-type", acme.key_type] if acme.key_type else []),
        *(["--required-profile", acme.profile] if acme.profile else []),
        *(["--dry-run"] if attempt.rehearsal else []),
        "--force-renewal" if attempt.force else "--keep-until-expiring",
    ]


def _rehearsal_directory(acme: Acme) -> str:
    # Let's Encrypt has a second authority for rehearsals, others have none.
    return STAGING if acme.directory in {LETSENCRYPT, STAGING} else acme.directory


def build_environment(settings: CertificateSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for certbot: without an account's keys, with the private root."""
    kept = {name: value for name, value in environ.items() if name not in _UNWANTED}
    # The root file system is read-only: certbot's own temporary files go to the tmpfs.
    kept["TMPDIR"] = str(settings.state_directory)
    if settings.root_file is not None:
        kept["REQUESTS_CA_BUNDLE"] = str(settings.root_file)
    return kept

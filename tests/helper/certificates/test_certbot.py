"""certbot is asked with exactly what the settings say, and without a secret."""

from __future__ import annotations

from bundle_helper.certificates import certbot
from bundle_helper.certificates.certbot import Attempt
from bundle_helper.settings.issuers import STAGING, Acme
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.conftest import TOKEN


def arguments(environ: dict[str, str], attempt: Attempt | None = None) -> list[str]:
    settings = ServiceSettings.from_environ(environ).certificate
    assert isinstance(settings.issuer, Acme)
    return certbot.build_arguments(settings, settings.issuer, attempt or Attempt())


def test_no_secret_is_an_argument(acme_environ: dict[str, str]) -> None:
    """A list of processes shows the file's name, and never the token."""
    assert TOKEN not in " ".join(arguments(acme_environ))
    assert acme_environ["DNS_TOKEN_FILE"] in arguments(acme_environ)


def test_defaults_are_left_to_the_authority(acme_environ: dict[str, str]) -> None:
    """Without a choice neither profile nor kind of key is asked for, and nothing is forced."""
    asked = arguments(acme_environ)
    assert not {"--key-type", "--required-profile", "--force-renewal", "--dry-run"} & set(asked)
    assert "--keep-until-expiring" in asked


def test_choices_arrive(acme_environ: dict[str, str]) -> None:
    """Profile, key, authority and name are passed on as they were chosen."""
    chosen = {
        "CERTIFICATE_ISSUER": "https://ca.example.org/dir",
        "ACME_PROFILE": "shortlived",
        "CERTIFICATE_KEY_TYPE": "rsa",
    }
    asked = " ".join(arguments({**acme_environ, **chosen}))
    for part in (
        "--server https://ca.example.org/dir",
        "--required-profile shortlived",
        "--key-type rsa",
        "--domain matrix.example.org",
    ):
        assert part in asked


def test_a_rehearsal_keeps_nothing_and_asks_the_staging_authority(
    acme_environ: dict[str, str],
) -> None:
    """Let's Encrypt is rehearsed with its second authority, others with a dry run of their own."""
    asked = arguments(acme_environ, Attempt(rehearsal=True))
    assert "--dry-run" in asked
    assert asked[asked.index("--server") + 1] == STAGING
    other = arguments(
        {**acme_environ, "CERTIFICATE_ISSUER": "https://ca.example.org/dir"},
        Attempt(rehearsal=True),
    )
    assert other[other.index("--server") + 1] == "https://ca.example.org/dir"


def test_an_account_s_key_never_replaces_the_token(acme_environ: dict[str, str]) -> None:
    """Cloudflare's library would prefer these variables, so certbot does not get them."""
    settings = ServiceSettings.from_environ(acme_environ).certificate
    keys = {"CLOUDFLARE_EMAIL": "a@b.c", "CLOUDFLARE_API_KEY": "k", "CLOUDFLARE_API_TOKEN": "t"}
    given = certbot.build_environment(settings, {**keys, "CLOUDFLARE_BASE_URL": "http://x"})
    assert not set(keys) & set(given)
    assert given["CLOUDFLARE_BASE_URL"] == "http://x"
    assert "REQUESTS_CA_BUNDLE" not in given

"""certbot is asked with exactly what the settings say, and without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle_helper.certificates import certbot, lineage
from bundle_helper.certificates.certbot import Wish
from bundle_helper.errors import SettingsError
from bundle_helper.settings.issuers import STAGING, AcmeSettings
from bundle_helper.settings.service_settings import ServiceSettings

TOKEN = "secretTOKENsecretTOKENsecretTOKENsecret0"


@pytest.fixture
def acme_environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a helper whose certificate comes from Let's Encrypt."""
    (tmp_path / "dns_token").write_text(TOKEN + "\n")
    (tmp_path / "letsencrypt").mkdir()
    return {
        **environ,
        "CERTIFICATE_ISSUER": "letsencrypt",
        "CERTIFICATE_NAMES": "matrix.example.org",
        "ACME_EMAIL": "you@example.org",
        "ACME_PROFILE": "default",
        "CERTIFICATE_KEY_TYPE": "default",
        "LINEAGES_DIRECTORY": str(tmp_path / "letsencrypt"),
        "DNS_TOKEN_FILE": str(tmp_path / "dns_token"),
    }


def arguments(environ: dict[str, str], wish: Wish | None = None) -> list[str]:
    settings = ServiceSettings.from_environ(environ)
    assert isinstance(settings.acme, AcmeSettings)
    return certbot.certbot_arguments(settings, settings.acme, wish or Wish())


def test_no_secret_is_an_argument(acme_environ: dict[str, str]) -> None:
    """Whoever lists processes sees the file's name, and never the token."""
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
    asked = arguments(acme_environ, Wish(rehearsal=True))
    assert "--dry-run" in asked
    assert asked[asked.index("--server") + 1] == STAGING
    other = arguments(
        {**acme_environ, "CERTIFICATE_ISSUER": "https://ca.example.org/dir"}, Wish(rehearsal=True)
    )
    assert other[other.index("--server") + 1] == "https://ca.example.org/dir"


def test_an_account_s_key_never_replaces_the_token(acme_environ: dict[str, str]) -> None:
    """Cloudflare's library would prefer these variables, so certbot does not get them."""
    settings = ServiceSettings.from_environ(acme_environ)
    keys = {"CLOUDFLARE_EMAIL": "a@b.c", "CLOUDFLARE_API_KEY": "k", "CLOUDFLARE_API_TOKEN": "t"}
    given = certbot.certbot_environment(settings, {**keys, "CLOUDFLARE_BASE_URL": "http://x"})
    assert not set(keys) & set(given)
    assert given["CLOUDFLARE_BASE_URL"] == "http://x"
    assert "REQUESTS_CA_BUNDLE" not in given


def test_each_authority_and_homeserver_has_its_own_lineage() -> None:
    """Trying another authority never touches the certificates of the first."""
    issuers = ("letsencrypt", "letsencrypt-staging", "https://ca.org/dir", "https://ca.org:1/dir")
    names = {lineage.name(issuer, host) for issuer in issuers for host in ("a.org", "b.org")}
    assert len(names) == 8
    assert all("/" not in name and ":" not in name for name in names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CERTIFICATE_ISSUER", "http://ca.example.org/dir"),
        ("CERTIFICATE_KEY_TYPE", "dsa"),
        ("DNS_TOKEN_FILE", "/nowhere"),
        ("ACME_EMAIL", ""),
        ("LINEAGES_DIRECTORY", "letsencrypt"),
    ],
)
def test_bad_values_are_named(acme_environ: dict[str, str], name: str, value: str) -> None:
    """What an authority needs is complete or explained."""
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_environ({**acme_environ, name: value})
    assert caught.value.problems[0].startswith(name)

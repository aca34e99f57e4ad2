"""The environment is read once, whole, and without giving a secret away."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.errors import InvalidEnvironmentError
from bundle_helper.settings.bootstrap_settings import BootstrapSettings, VolumeOwner
from bundle_helper.settings.environment import Secret
from bundle_helper.settings.service_settings import ServiceSettings

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def problems_of(environ: dict[str, str]) -> tuple[str, ...]:
    """Return what the service says against `environ`."""
    with pytest.raises(InvalidEnvironmentError) as caught:
        ServiceSettings.from_environ(environ)
    return caught.value.problems


def test_an_empty_environment_is_answered_with_every_missing_name(
    environ: dict[str, str],
) -> None:
    """Nothing has a default, and all missing names come at once."""
    problems = problems_of({})
    # What only some issuers need is asked for when one of those is chosen.
    assert sorted(problems) == sorted(f"{name} is missing" for name in environ)


def test_every_bad_value_is_named_at_once(environ: dict[str, str]) -> None:
    """One run shows all mistakes, each with its variable."""
    bad = {
        "SERVER_NAME": "Example.org",
        "BASE_URL": "http://example.org",
        "ADMIN": "Alice Smith",
        "CERTIFICATE_ISSUER": "nobody",
        "CERTIFICATE_NAMES": "matrix.example.org not_a_name",
        "CERTIFICATES_DIRECTORY": "certificates",
        "CERTIFICATE_GROUP": "www-data",
        "CERTIFICATE_WARNING": "soon",
        "CERTIFICATE_FAILURE": "0d",
        "ROOT_FILE": "root.pem",
        "NOTIFICATION_FILE": "/nowhere",
        "HEARTBEAT_FILE": "heartbeat_url",
        "APACHE_ADDRESS": "apache",
        "VERIFY_KEY": "ed25519:a_TEST short",
        "UPLOAD_LIMIT": "90M",
        "OUTSIDE": "perhaps",
        "IMAGE_PINS": "synapse:v1=yesterday",
        "RELEASE_LIST": "https://example.org/releases?server=example.org",
        "BACKUP_AT": "24:00",
        "BACKUP_DRILL": "hourly",
        "BACKUP_REPORT_FILE": "status.json",
    }
    problems = problems_of({**environ, **bad})
    assert sorted(problem.partition(":")[0] for problem in problems) == sorted(bad)


def test_good_values_become_typed_values(environ: dict[str, str]) -> None:
    """Lists, numbers, addresses and secrets arrive parsed."""
    settings = ServiceSettings.from_environ({**environ, "CERTIFICATE_NAMES": "a.org ::0:1 a.org"})
    assert settings.certificate.names == ("a.org", "::1")
    assert settings.apache_address == ("127.0.0.1", 1)
    assert settings.certificate.group == 33
    assert settings.admin_password.reveal() == Path(environ["ADMIN_PASSWORD_FILE"]).read_text()[:-1]


def test_volume_owners_are_pairs_of_path_and_number(
    environ: dict[str, str], secrets_directory: Path, tmp_path: Path
) -> None:
    """One variable says which volume belongs to which user."""
    settings = BootstrapSettings.from_environ(
        {
            "SERVER_NAME": "example.org",
            "INSTANCE_FILE": "/run/secrets/instance",
            "CLAIM_DIRECTORY": "none",
            "DATABASE_HOST": "postgres",
            "DATABASE_PORT": "5432",
            "DATABASE_PATIENCE": "600",
            "DATABASE_NAME": "synapse",
            "DATABASE_ROLE": "synapse_user",
            "SUPERUSER_PASSWORD_FILE": str(secrets_directory / "postgres_password"),
            "ROLE_PASSWORD_FILE": str(secrets_directory / "synapse_database_password"),
            "VOLUME_OWNERS": "/volumes/media=991 /volumes/a=b=993",
            "REPORT_FILE": str(tmp_path / "database.json"),
        }
    )
    assert settings.volume_owners == (
        VolumeOwner(path=Path("/volumes/media"), uid=991),
        VolumeOwner(path=Path("/volumes/a=b"), uid=993),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \n", "is empty"),
        (b"one\ntwo\n", "one line"),
        (b"word\r\n", "one line"),
        (b"word\n\n", "one line"),
        (b"\xff\xfe\n", "not UTF-8"),
    ],
)
def test_a_secret_file_must_hold_one_clean_line(
    environ: dict[str, str], content: bytes, reason: str
) -> None:
    """A damaged secret file is named with what is wrong, and nothing starts with it."""
    Path(environ["ADMIN_PASSWORD_FILE"]).write_bytes(content)
    (problem,) = problems_of(environ)
    assert problem.startswith(f"ADMIN_PASSWORD_FILE: {environ['ADMIN_PASSWORD_FILE']}")
    assert reason in problem


def test_a_secret_file_that_docker_made_a_directory_is_explained(environ: dict[str, str]) -> None:
    """Docker mounts a new directory where the host lacks the file: the message says so."""
    path = Path(environ["AUTHORITY_KEY_FILE"])
    path.unlink()
    path.mkdir()
    (problem,) = problems_of(environ)
    assert "is missing on the host" in problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without permission")
def test_a_secret_file_of_another_user_is_explained(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """A file that this user may not read is named together with the mode it needs."""
    path = Path(environ["ADMIN_PASSWORD_FILE"])
    for parent in path.parents:
        if parent.is_relative_to(tempfile.gettempdir()) and parent.stat().st_uid == 0:
            parent.chmod(parent.stat().st_mode | 0o055)
    path.chmod(0o600)
    os.seteuid(993)
    try:
        (problem,) = problems_of(environ)
    finally:
        os.seteuid(0)
    assert "mode must be 0444" in problem


_NAMES = sorted(problem.partition(" ")[0] for problem in problems_of({}))


@given(name=st.sampled_from(_NAMES), text=_ANY_TEXT)
def test_any_text_in_any_variable_gives_problems_and_never_a_crash(name: str, text: str) -> None:
    """Whatever the environment holds, the answer is a list of problems for people."""
    assert problems_of({name: text})


@given(text=_ANY_TEXT.filter(lambda text: len(text) > 3))
def test_a_secret_shows_itself_to_no_one(text: str) -> None:
    """Formatting a secret in any usual way gives its placeholder."""
    secret = Secret(text)
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>8}"} == {"[secret]"}
    assert secret.reveal() == text

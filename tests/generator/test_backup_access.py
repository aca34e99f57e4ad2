"""What opens the backups: the password is made, the rest is copied, checked and never shown."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from synapse_bundle.credentials import backup_access, collection, generated
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.settings import DIRECTORY

S3 = (DIRECTORY / "s3_credentials").read_text().rstrip("\n")
REST = (DIRECTORY / "rest_credentials").read_text().rstrip("\n")
KEY = (DIRECTORY / "ssh_key").read_text().rstrip("\n")
HOSTS = (DIRECTORY / "known_hosts").read_text().rstrip("\n")


def make_key(directory: Path, kind: str, passphrase: str = "", *, form: str = "RFC4716") -> str:
    """Return a new private key, as ssh-keygen writes it."""
    file = directory / f"{kind}-{form}"
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-m", form, "-f", str(file)]
    subprocess.run(words, check=True, capture_output=True)
    return file.read_text().rstrip("\n")


def test_the_password_can_be_typed_and_not_guessed(tmp_path: Path) -> None:
    """Groups of five from 32 letters and digits that nobody confuses: 5 bits each, 128 or more."""
    password = collection.collect(tmp_path, Settings(), tmp_path)["backup_password"]
    assert re.fullmatch(rf"[{generated.READABLE}]{{5}}(-[{generated.READABLE}]{{5}})+", password)
    assert len(set(generated.READABLE)) == 32
    assert 5 * len(password.replace("-", "")) >= 128


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("backup_s3", {"backup_credentials"}),
        ("backup_rest", {"backup_credentials"}),
        ("backup_sftp", {"backup_ssh_key", "backup_known_hosts"}),
        ("backup_folder", set()),
        ("trial", set()),
    ],
)
def test_what_the_settings_name_is_copied(tmp_path: Path, shape: str, names: set[str]) -> None:
    """Each kind of repository has its files in the bundle, and no other one."""
    settings = loading.load(DIRECTORY / f"{shape}.yaml")
    values = collection.collect(tmp_path, settings, DIRECTORY).values
    assert {name for name in values if name.startswith("backup_")} == names | {"backup_password"}


def test_a_missing_file_names_its_key(tmp_path: Path) -> None:
    """A file that is not there is reported with the key that names it."""
    settings = loading.load(DIRECTORY / "backup_sftp.yaml")
    with pytest.raises(SettingsError, match=r"ssh_key: does not exist; backup\.ssh_key names it"):
        collection.collect(tmp_path, settings, tmp_path)


@pytest.mark.parametrize("place", ["s3", "rest"])
def test_access_keys_are_lines_of_known_names(place: str) -> None:
    """Comments and empty lines may be there; a value may hold whatever it has to."""
    text = {"s3": S3, "rest": REST}[place]
    assert backup_access.check_access_keys(place, f"# mine\n\n{text}") == ""
    assert backup_access.check_access_keys(place, text.replace("=", "=a=b c", 1)) == ""


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        ("s3", "", "lacks a line AWS_ACCESS_KEY_ID=value"),
        ("s3", S3.splitlines()[0], "lacks a line AWS_SECRET_ACCESS_KEY=value"),
        ("s3", REST, "line 2 is not NAME=value with one of AWS_"),
        ("rest", S3, "line 1 is not NAME=value with one of RESTIC_REST_"),
        ("s3", "hunter2", "line 1 is not NAME=value"),
        ("s3", f"export {S3}", "line 1 is not NAME=value"),
        ("s3", f"RESTIC_PASSWORD=hunter2\n{S3}", "line 1 is not NAME=value"),
        ("s3", f"{S3}\nLD_PRELOAD=hunter2", "line 4 is not NAME=value"),
        ("s3", f"{S3}\nAWS_SESSION_TOKEN", "line 4 has no usable value"),
        ("s3", f"{S3}\nAWS_SESSION_TOKEN=", "line 4 has no usable value"),
        ("s3", f"{S3}\nAWS_SESSION_TOKEN= hunter2", "line 4 has no usable value"),
        ("s3", f'{S3}\nAWS_SESSION_TOKEN="hunter2"', "line 4 has quotes"),
        ("s3", f"{S3}\nAWS_ACCESS_KEY_ID=hunter2", "line 4 gives AWS_ACCESS_KEY_ID again"),
        ("rest", "RESTIC_REST_USERNAME=hunter2", "lacks a line RESTIC_REST_PASSWORD=value"),
    ],
)
def test_other_access_keys_are_refused_unseen(place: str, text: str, reason: str) -> None:
    """What restic would not take, or what would reach its environment, is refused by its line."""
    fault = backup_access.check_access_keys(place, text)
    assert fault.startswith(reason)
    assert "hunter2" not in fault


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_a_private_key_has_no_passphrase(tmp_path: Path, kind: str, form: str) -> None:
    """Every form that ssh-keygen writes is taken without a passphrase, and refused with one."""
    assert backup_access.check_ssh_key(make_key(tmp_path, kind, form=form)) == ""
    (tmp_path / f"{kind}-{form}").unlink()
    locked = make_key(tmp_path, kind, "hunter2!", form=form)
    assert backup_access.check_ssh_key(locked).startswith("has a passphrase")


def test_what_is_no_private_key_is_refused(tmp_path: Path) -> None:
    """A public key, a half file, a certificate: each says what to do."""
    assert backup_access.check_ssh_key(KEY) == ""
    make_key(tmp_path, "ed25519")
    public = (tmp_path / "ed25519-RFC4716.pub").read_text().rstrip("\n")
    assert backup_access.check_ssh_key(public).startswith("is a public key")
    lines = KEY.splitlines()
    damaged = "\n".join([lines[0], *lines[2:]])
    assert backup_access.check_ssh_key(damaged) == "is damaged; copy the whole file again"
    for text in ("", "\n".join(lines[:-1]), KEY.replace("\n", "\r\n"), "PRIVATE KEY"):
        assert backup_access.check_ssh_key(text).startswith("is not a private key of OpenSSH")


def write_bundle(bundle: Path, *, version: str = "secrets/backup_password") -> None:
    """Leave what tells that an earlier run made a password, which is gone."""
    (bundle / "secrets").mkdir(parents=True)
    (bundle / "compose.yaml").write_text(f"BACKUP_PASSWORD_FILE: /bundle/{version}\n")
    (bundle / "secrets" / "signing.key").write_text(f"ed25519 a_TEST {'A' * 43}\n")


def lose_password(bundle: Path, settings: Settings) -> str:
    """Return what a run says that finds the password gone."""
    with pytest.raises(SettingsError) as refused:
        collection.collect(bundle, settings, DIRECTORY)
    assert not (bundle / "secrets" / "backup_password").exists()
    return str(refused.value)


def test_a_lost_password_is_not_made_anew(tmp_path: Path) -> None:
    """The sets need the old one: the message says where it is, and how to give them up on purpose."""
    bundle = tmp_path / "my bundle"
    write_bundle(bundle)
    remote = loading.load(DIRECTORY / "backup_s3.yaml")
    said = lose_password(bundle, remote)
    assert "secrets/backup_password is missing" in said
    assert "recovery card" in said
    # What it says to type makes the next run succeed.
    command = re.search(r"`(openssl .*)`", said)
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], check=True)
    made = (bundle / "secrets" / "backup_password").read_text().strip()
    assert len(made) == 64
    assert collection.collect(bundle, remote, DIRECTORY)["backup_password"] == made


def test_a_password_that_is_given_is_not_lost(tmp_path: Path) -> None:
    """A rotation that was cut off goes on with the password in its journal."""
    write_bundle(tmp_path)
    remote = loading.load(DIRECTORY / "backup_s3.yaml")
    given = {"backup_password": "of-the-journal"}
    found = collection.collect(tmp_path, remote, DIRECTORY, given)
    assert (found["backup_password"], found.given) == ("of-the-journal", frozenset(given))


def test_without_a_set_a_password_is_made_anew(tmp_path: Path) -> None:
    """In a bundle of before there were backups, and where no repository was made in it."""
    former = tmp_path / "former"
    write_bundle(former, version="secrets/postgres_password")
    remote = loading.load(DIRECTORY / "backup_s3.yaml")
    assert collection.collect(former, remote, DIRECTORY)["backup_password"]
    bundle = tmp_path / "bundle"
    write_bundle(bundle)
    assert collection.collect(bundle, Settings(), tmp_path)["backup_password"]
    (bundle / "backups").mkdir()
    (bundle / "backups" / "config").touch()
    assert "./backups can be read" in lose_password(bundle, Settings())

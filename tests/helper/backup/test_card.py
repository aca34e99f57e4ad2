"""The recovery card holds everything a bare machine needs, and shows only on a terminal."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup.card import write_card
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup.command_line import run_command, start_command

if TYPE_CHECKING:
    from pathlib import Path


def test_folder(folder_environ: dict[str, str], tmp_path: Path) -> None:
    """For a folder: where it belongs, and the password, in text and in the code."""
    password = (tmp_path / "bundle/secrets/backup_password").read_text().strip()
    settings = BackupSettings.from_environ(folder_environ)
    card = write_card(settings)
    assert f"password: {password}" in card
    assert "keep it away from this machine" in card
    inside = settings.repository.location
    assert f'"$PWD/repository:{inside}"' in card
    assert f"-r {inside} restore --tag set" in card
    assert "`mv ../repository ./backups`" in card
    assert card.count("█") > 100
    # No command has the password in it: restic asks.
    assert card.count(password) == 1


def test_object_storage(folder_environ: dict[str, str], tmp_path: Path) -> None:
    """Credentials go into a file, never into a command."""
    credentials = tmp_path / "bundle/secrets/backup_credentials"
    credentials.write_text("# of June\nAWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=s3cr=t\n")
    folder_environ |= {
        "BACKUP_REPOSITORY": "s3:https://storage.example/bucket",
        "BACKUP_REPOSITORY_NAME": "s3:https://storage.example/bucket",
        "BACKUP_CREDENTIALS_FILE": str(credentials),
    }
    card = write_card(BackupSettings.from_environ(folder_environ))
    assert "AWS_SECRET_ACCESS_KEY: s3cr=t" in card
    assert "--env-file credentials" in card
    assert "-r s3:https://storage.example/bucket restore" in card
    assert "June" not in card


@pytest.mark.parametrize(("size", "fits"), [(300, True), (4000, False)])
def test_sftp(folder_environ: dict[str, str], tmp_path: Path, size: int, fits: bool) -> None:
    """The key is on the card, and in the code as far as a code can hold it."""
    key, hosts = tmp_path / "key", tmp_path / "hosts"
    key.write_text("-----BEGIN-----\n" + "k" * size + "\n")
    hosts.write_text("host ssh-ed25519 AAAA\n")
    folder_environ |= {
        "BACKUP_REPOSITORY": "sftp:me@host:/sets",
        "BACKUP_SSH_KEY_FILE": str(key),
        "BACKUP_KNOWN_HOSTS_FILE": str(hosts),
    }
    card = write_card(BackupSettings.from_environ(folder_environ))
    assert "k" * size in card
    assert "host ssh-ed25519 AAAA" in card
    assert "sftp.args='-i /out/ssh_key" in card
    assert ("too large with the SSH key" not in card) is fits


def test_only_on_a_terminal(folder_environ: dict[str, str], tmp_path: Path) -> None:
    """A pipe gets the card only when it is asked for by name."""
    password = (tmp_path / "bundle/secrets/backup_password").read_text().strip()
    done = run_command(folder_environ, "card")
    assert done.returncode == 2
    assert "--plain" in done.stderr
    assert password not in done.stdout + done.stderr
    assert password in run_command(folder_environ, "card", "--plain").stdout
    ours, theirs = pty.openpty()
    with start_command(folder_environ, "card", stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
        assert process.wait() == 0
    assert password in shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # The terminal was closed on the other side.
        return b""

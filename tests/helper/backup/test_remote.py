"""Repositories elsewhere: by SFTP at a real sshd, and in object storage; no secret shows on the way."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import repository
from bundle_helper.backup.access import prepare_environment, read_credentials
from bundle_helper.backup.repository_errors import RepositoryError
from bundle_helper.backup.restic import Producer
from bundle_helper.errors import HelperError
from tests.helper.backup.object_storage import KEY_ID, ObjectStorage
from tests.helper.backup.waiting_dump import read_processes
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


def store(folder: Place) -> str:
    """Store a stream, and return what the processes showed meanwhile."""
    held, seen = folder.root / "held", []
    os.mkfifo(held)

    def look_and_release() -> None:
        wait_for(lambda: "--stdin-filename" in read_processes(), "restic runs")
        seen.append(read_processes())
        held.write_text("the content\n")

    looking = threading.Thread(target=look_and_release)
    looking.start()
    producer = Producer(("cat", str(held)), {"PATH": os.environ["PATH"]})
    saved = folder.repository.backup_stream(producer, "file", ("dump", "set-name"))
    looking.join()
    assert folder.repository.read(saved.snapshot, "/file") == "the content\n"
    return seen[0]


def test_object_storage(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is signed with the key in the file; with another one nothing is said of it."""
    secret = secrets.token_urlsafe(30)
    credentials = folder.root / "bundle/secrets/backup_credentials"
    credentials.write_text(f"AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={secret}\n")
    with ObjectStorage(secret) as storage:
        folder.environ.update(
            BACKUP_REPOSITORY=f"s3:http://127.0.0.1:{storage.port}/bucket/path",
            BACKUP_CREDENTIALS_FILE=str(credentials),
        )
        folder.repository.init()
        shown = store(folder)
        assert secret not in shown
        assert KEY_ID not in shown
        assert (storage.answered > 5, storage.refused) == (True, 0)
        credentials.write_text(f"AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY=another\n")
        monkeypatch.setattr(repository, "_PATIENCE_SECONDS", 5.0)
        with pytest.raises(RepositoryError, match=r"cannot be used: .*no") as caught:
            folder.repository.read_id()
        assert storage.refused
        assert "another" not in caught.value.message


def test_sftp(folder: Place, ssh_server: str) -> None:
    """The key may have any mode, only the known host is talked to, and nothing is asked."""
    folder.repository.init()
    shown = store(folder)
    key = (folder.root / "user_key").read_text().splitlines()[1]
    assert key not in shown
    assert "StrictHostKeyChecking=yes" in shown
    hosts = Path(folder.environ["BACKUP_KNOWN_HOSTS_FILE"])
    other = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder.root / "other")],
        check=True,
    )
    assert other.returncode == 0
    kind, key = (folder.root / "other.pub").read_text().split()[:2]
    hosts.write_text(f"{hosts.read_text().split()[0]} {kind} {key}\n")
    with pytest.raises(RepositoryError, match=r"\./backups cannot be used"):
        folder.repository.read_id()


def test_rest_login(folder: Place) -> None:
    """User and password of a rest-server go into a file that only its owner reads."""
    credentials = folder.root / "bundle/secrets/backup_credentials"
    credentials.write_text("\n# of June\nRESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD=p@ss/w=rd\n")
    folder.environ.update(
        BACKUP_REPOSITORY="rest:https://host:8000/path/", BACKUP_CREDENTIALS_FILE=str(credentials)
    )
    environment = prepare_environment(folder.settings)
    assert "ss/w" not in str(environment)
    file = Path(environment["RESTIC_REPOSITORY_FILE"])
    assert file.read_text() == "rest:https://me:p%40ss%2Fw%3Drd@host:8000/path/\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", ["AWS_SECRET_KEY=s3cret", "s3cret", "RESTIC_PASSWORD=s3cret"])
def test_unknown_credentials(tmp_path: Path, line: str) -> None:
    """A line that is not understood is named by its number, and its value never shown."""
    file = tmp_path / "backup_credentials"
    file.write_text(f"AWS_ACCESS_KEY_ID=key\n{line}\n")
    with pytest.raises(HelperError, match="line 2 of secrets/backup_credentials") as caught:
        read_credentials(file)
    assert "s3cret" not in caught.value.message

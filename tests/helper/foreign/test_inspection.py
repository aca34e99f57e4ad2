"""What an import finds in another server's folder, and every reason for which it refuses."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bundle_helper.errors import HelperError
from tests.helper.foreign.conftest import NAME, OtherServer, write_key

# Each is a key of homeserver.yaml, its value, and words of the refusal.
REFUSED_SETTINGS: list[tuple[str, Any, str]] = [
    ("server_name", "other.test", "it is the server other.test, and this bundle is example.org"),
    ("server_name", None, "it is the server without a name"),
    ("matrix_authentication_service", {"enabled": True}, "Matrix Authentication Service"),
    ("experimental_features", {"msc3861": {"enabled": True}}, "Matrix Authentication Service"),
    (
        "media_storage_providers",
        [{"module": "s3_storage_provider.S3StorageProviderBackend"}],
        "some of its files may be elsewhere alone",
    ),
    ("databases", {"main": {}}, "spread over several"),
    ("media_store_path", "/elsewhere/media", "/elsewhere/media, is not there"),
    ("database", {"name": "psycopg2", "args": {}}, "its database is PostgreSQL"),
    (
        "database",
        {"name": "sqlite3", "args": {"database": "/data/x.db"}},
        "/data/x.db, is not there",
    ),
    ("signing_key_path", "/data/lost.key", "the signing key, /data/lost.key"),
    ("macaroon_secret_key_path", "/data/lost", "names /data/lost, which cannot be read"),
]


def test_a_sound_server_can_be_imported(other: OtherServer) -> None:
    """Everything is found, nothing is left of it, and the source is as it was."""
    before = other.describe()
    found = other.inspect()
    assert found.problems == ()
    assert other.describe() == before
    assert not Path(other.environ["IMPORT_COPY"]).parent.exists()
    rows = dict(found.rows)
    assert (rows["server"], rows["signing key"]) == (NAME, "ed25519:a_own")
    assert (rows["users"], rows["events"], rows["files"]) == ("2", "1", "1, 6 bytes")
    document = found.to_json()
    assert document["sqlite"]
    assert document["secrets"] == {
        "signing_keys": (other.key,),
        "old_signing_keys": {},
        "macaroon_secret_key": "a macaroon secret",
        "form_secret": "a form secret",
        "password_pepper": "",
    }
    assert not [name for name, _ in found.rows if name == "does not"]


@pytest.mark.parametrize(("key", "value", "words"), REFUSED_SETTINGS)
def test_a_setting_is_refused(other: OtherServer, key: str, value: Any, words: str) -> None:
    """The refusal names the setting; everything else is still shown."""
    extra = {"macaroon_secret_key": None} if key == "macaroon_secret_key_path" else {}
    other.configure(**extra, **{key: value})
    found = other.inspect()
    assert [problem for problem in found.problems if words in problem], found.problems
    assert "server" in dict(found.rows)


def test_secrets_are_carried_over(other: OtherServer) -> None:
    """A pepper, old keys, several keys, and secrets in files of their own."""
    second = write_key(other.folder / "second", "a_second")
    key = other.folder / f"{NAME}.signing.key"
    key.write_text(f"{key.read_text()}{second}\n")
    (other.folder / "form").write_text("a secret in a file\n")
    old = {"ed25519:a_old": {"key": "A" * 43, "expired_ts": 5}}
    other.configure(
        password_config={"pepper": "salt and"},
        old_signing_keys=old,
        macaroon_secret_key=None,
        form_secret=None,
        form_secret_path="/data/form",
    )
    found = other.inspect()
    assert found.problems == ()
    assert found.secrets
    assert found.secrets.signing_keys == (other.key, second)
    assert found.secrets.old_signing_keys == old
    # As Synapse does.
    assert found.secrets.macaroon_secret_key == "a shared secret"
    assert found.secrets.form_secret == "a secret in a file"
    assert found.secrets.password_pepper == "salt and"
    for secret in ("salt and", other.key, "a secret in a file", "a shared secret"):
        assert secret not in repr(found)
        assert secret not in str(found.rows)


def test_what_does_not_go_on_is_named(other: OtherServer) -> None:
    """Settings that no bundle has by itself; those without a value are none."""
    other.configure(
        app_service_config_files=["/data/bridge.yaml"], email={"smtp_host": "a"}, modules=[]
    )
    rows = dict(other.inspect().rows)
    assert rows["does not"] == "app_service_config_files, email: see docs/import.md"


def test_a_folder_without_a_server(other: OtherServer) -> None:
    """No homeserver.yaml, one that is not YAML, and one that says nothing."""
    path = other.folder / "homeserver.yaml"
    for text, words in (("a: [", r"cannot be read \(line "), ("- a", "holds no settings")):
        path.write_text(text)
        with pytest.raises(HelperError, match=words):
            other.inspect()
    path.unlink()
    with pytest.raises(HelperError, match=r"there is no homeserver\.yaml in it"):
        other.inspect()


@pytest.mark.parametrize("above", [False, True])
def test_the_layout_of_the_ansible_playbook(other: OtherServer, above: bool) -> None:
    """matrix-docker-ansible-deploy: configuration and files apart, its database in a dump."""
    folder = other.folder / "synapse" if above else other.folder
    (folder / "config").mkdir(parents=True)
    (folder / "storage").mkdir()
    other.configure(
        media_store_path="/matrix-media-store-parent/media-store",
        database={"name": "psycopg2", "args": {"host": "matrix-postgres", "database": "synapse"}},
        media_storage_providers=[],
        matrix_authentication_service={"enabled": False},
    )
    for name in ("homeserver.yaml", f"{NAME}.signing.key"):
        (other.folder / name).rename(folder / "config" / name)
    (other.folder / "media_store").rename(folder / "storage" / "media-store")
    if not above:
        other.environ["IMPORT_SOURCE"] = str(folder)
    found = other.inspect()
    assert len(found.problems) == 1
    assert "name the file with --database" in found.problems[0]
    assert dict(found.rows)["files"] == "1, 6 bytes"


def test_pending_background_updates_are_waited_for(other: OtherServer) -> None:
    """Synapse's own program refuses them too; here before anything is changed."""
    other.execute("INSERT INTO background_updates VALUES ('an_update', '{}', '')")
    [problem] = other.inspect().problems
    assert "1 background updates to do" in problem
    assert "wait" in problem


def test_a_vacuumed_database(other: OtherServer) -> None:
    """With automatic vacuuming rows are renumbered; a vacuum by hand harms nobody."""
    other.execute("VACUUM;")
    assert other.inspect().problems == ()
    other.execute("PRAGMA auto_vacuum = 1; VACUUM;")
    [problem] = other.inspect().problems
    assert "PRAGMA auto_vacuum = 0; VACUUM;" in problem


def test_a_damaged_database(other: OtherServer) -> None:
    """A copy of a running server: pages of two moments."""
    other.execute(
        "CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " SELECT i, hex(randomblob(20)) AS h FROM n; CREATE INDEX many_h ON many (h);"
    )
    path = other.folder / "homeserver.db"
    data = bytearray(path.read_bytes())
    for offset in range(len(data) // 2, len(data) - 4096, 4096):
        data[offset : offset + 2048] = bytes(2048)
    path.write_bytes(data)
    [problem] = other.inspect().problems
    assert "damaged" in problem or "cannot be read" in problem


def test_another_file_in_place_of_the_database(other: OtherServer) -> None:
    """Text, and the database of another program."""
    path = other.folder / "homeserver.db"
    path.write_text(
        "not a database, but longer than the header of one, which is a hundred bytes" * 3
    )
    [problem] = other.inspect().problems
    assert "its database cannot be read" in problem
    path.unlink()
    other.execute("CREATE TABLE a (b)")
    [problem] = other.inspect().problems
    assert "none of Synapse's tables" in problem


def test_what_is_in_the_log_counts(other: OtherServer) -> None:
    """A server that was killed has its last words in the write-ahead log alone."""
    path = other.folder / "homeserver.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("INSERT INTO users VALUES ('@c:example.org', 'x')")
    connection.commit()
    killed = other.folder / "killed"
    killed.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", killed / f"homeserver.db{end}")
    connection.close()
    other.configure(
        database={"name": "sqlite3", "args": {"database": "/data/killed/homeserver.db"}}
    )
    assert dict(other.inspect().rows)["users"] == "3"


def test_a_disk_without_room(other: OtherServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Database, its copy and the files: known before anything is copied."""
    size = (other.folder / "homeserver.db").stat().st_size
    needed = 3 * size + len(b"a file")

    def give(free: int) -> tuple[str, ...]:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        return other.inspect().problems

    assert give(needed) == ()
    [problem] = give(needed - 1)
    assert "Free some room" in problem


def test_a_foreign_user(other: OtherServer) -> None:
    """The name in homeserver.yaml was changed, which makes no other server of it."""
    other.execute("INSERT INTO users VALUES ('@c:other.test', 'x')")
    [problem] = other.inspect().problems
    assert "the user @c:other.test, who is not of example.org" in problem


def test_another_signing_key(other: OtherServer) -> None:
    """The last event of the server's own shows which key it had; a key of before counts too."""
    other.add_event(NAME, "a_lost")
    other.add_event("remote.test", "a_theirs")
    [problem] = other.inspect().problems
    assert "signed with the key ed25519:a_lost" in problem
    other.configure(old_signing_keys={"ed25519:a_lost": {"key": "A" * 43, "expired_ts": 5}})
    assert other.inspect().problems == ()


def test_a_key_of_the_same_name(other: OtherServer) -> None:
    """Synapse's table of keys has the public half."""
    other.execute(
        "INSERT INTO server_signature_keys VALUES ('example.org', 'ed25519:a_own', x'00ff')"
    )
    [problem] = other.inspect().problems
    assert "knows another key of the name ed25519:a_own" in problem


def test_a_signing_key_that_is_none(other: OtherServer) -> None:
    """Never is a part of it shown."""
    (other.folder / f"{NAME}.signing.key").write_text("ed25519 a_b too-short-and-secret\n")
    [problem] = other.inspect().problems
    assert "the signing key" in problem
    assert "too-short" not in problem


@pytest.mark.parametrize("target", ["/mnt/disk", "../elsewhere"])
def test_links_among_the_files(other: OtherServer, target: str) -> None:
    """What they lead to is not in the container, or would be passed over."""
    (other.folder / "elsewhere").mkdir()
    (other.folder / "media_store" / "remote_content").symlink_to(target)
    [problem] = other.inspect().problems
    assert "remote_content in the folder of the files is not a plain file" in problem


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"--\n-- PostgreSQL database dump\n--\n", "SQL, which can make psql run any program"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "by pg_dumpall"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"something else", "not an archive of pg_dump's"),
        (b"", "not an archive of pg_dump's"),
    ],
)
def test_another_kind_of_dump(other: OtherServer, tmp_path: Path, head: bytes, words: str) -> None:
    """Each is refused with the command that makes the right one."""
    other.configure(database={"name": "psycopg2", "args": {}})
    dump = tmp_path / "dump"
    dump.write_bytes(head)
    [problem] = other.inspect(dump).problems
    assert words in problem
    assert "pg_dump -Fc" in problem


def test_a_dump_beside_an_sqlite_database(other: OtherServer, tmp_path: Path) -> None:
    """Which of the two is the server's is not guessed."""
    (tmp_path / "dump").write_bytes(b"x")
    problems = other.inspect(tmp_path / "dump").problems
    assert "leave --database out" in problems[0]

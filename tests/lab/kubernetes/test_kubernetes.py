"""What the node's own parts decide before anything starts."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.kubernetes.cluster_programs import SERVERS, find_archive, unpack_servers, verify
from tests.lab.kubernetes.nameserver import ServiceCopy, answer
from tests.lab.steps import LabError

QUERY = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)


class Objects:
    """An API server's objects, by path."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self._objects = objects

    def find(self, path: str) -> Any:
        return self._objects.get(path)


def make_query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return QUERY + labels + b"\0" + struct.pack("!HH", kind, 1)


def look_up(name: str, kind: int = 1) -> tuple[int, set[str]]:
    """Return the response code and the addresses of an answer."""
    core = "/api/v1/namespaces/home"
    members = [{"ip": "10.0.0.1", "hostname": "db-0"}, {"ip": "10.0.0.2", "hostname": "db-1"}]
    objects = Objects(
        {
            f"{core}/services/web": {"spec": {"clusterIP": "10.96.0.7"}},
            f"{core}/services/db": {"spec": {"clusterIP": "None"}},
            f"{core}/endpoints/db": {"subsets": [{"addresses": members}]},
        }
    )
    query = make_query(name, kind)
    reply = answer(objects, query)  # type: ignore[arg-type]
    number, flags, questions, answers = struct.unpack_from("!HHHH", reply)
    assert (number, questions, reply[12 : len(query)]) == (7, 1, query[12:])
    records = reply[len(query) :]
    assert len(records) == 16 * answers
    found = {".".join(map(str, records[i + 12 : i + 16])) for i in range(0, len(records), 16)}
    return flags & 0xF, found


def test_names_of_services() -> None:
    """A Service has its own address; a headless one has those of its pods, also one by one."""
    assert look_up("web.home.svc.cluster.local") == (0, {"10.96.0.7"})
    assert look_up("WEB.home.svc.cluster.local") == (0, {"10.96.0.7"})
    assert look_up("db.home.svc.cluster.local") == (0, {"10.0.0.1", "10.0.0.2"})
    assert look_up("db-1.db.home.svc.cluster.local") == (0, {"10.0.0.2"})


def test_names_that_are_none() -> None:
    """Unknown names do not exist; a known one has no address of version 6."""
    for name in ("none.home.svc.cluster.local", "web", "web.home.example.org", "svc.cluster.local"):
        assert look_up(name) == (3, set()), name
    assert look_up("db-2.db.home.svc.cluster.local") == (3, set())
    assert look_up("web.home.svc.cluster.local", kind=28) == (0, set())


class ChangingServices:
    """An API server whose Services change, and are listed anew when it has ended a watch."""

    def __init__(self, *lives: tuple[list[Any], list[tuple[str, Any]]]) -> None:
        self._lives = iter(lives)

    def list_all(self, path: str) -> tuple[list[Any], str]:
        assert path == "/api/v1/services"
        items, self._changes = next(self._lives)
        return items, "7"

    def follow(self, path: str, since: str) -> Iterator[tuple[str, Any]]:
        assert (path, since) == ("/api/v1/services", "7")
        yield from self._changes


def make_service(name: str, address: str = "10.96.0.1") -> Any:
    return {"metadata": {"namespace": "home", "name": name}, "spec": {"clusterIP": address}}


def test_copy_of_the_services_follows_their_changes() -> None:
    """What comes, changes and goes is known, and what went between two watches as well."""
    api = ChangingServices(
        (
            [make_service("web"), make_service("old")],
            [
                ("ADDED", make_service("new")),
                ("MODIFIED", make_service("web", "10.96.0.2")),
                ("DELETED", make_service("old")),
            ],
        ),
        ([make_service("web")], []),
    )
    services = ServiceCopy(api)  # type: ignore[arg-type]

    def find(name: str) -> Any:
        return services.find(f"/api/v1/namespaces/home/services/{name}")

    with pytest.raises(LookupError):
        find("web")
    services.keep("services")
    assert find("web") == make_service("web", "10.96.0.2")
    assert (find("new"), find("old")) == (make_service("new"), None)
    services.keep("services")
    assert (find("web"), find("new")) == (make_service("web"), None)


def write_archive(path: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(path, "w:xz") as tar:
        for name in names:
            member = tarfile.TarInfo(f"kubernetes/server/bin/{name}")
            member.size, member.mode = len(name), 0o755
            tar.addfile(member, io.BytesIO(name.encode()))


def test_archive_is_verified(tmp_path: Path) -> None:
    """An archive must be the one that SHA256SUMS beside it describes, where there is one."""
    archive = tmp_path / "servers.tar.xz"
    archive.write_bytes(b"programs")
    verify(archive)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(b'programs').hexdigest()}  servers.tar.xz\n")
    verify(archive)
    archive.write_bytes(b"others")
    with pytest.raises(LabError, match="SHA256SUMS describes"):
        verify(archive)


def test_archive_must_be_whole(tmp_path: Path) -> None:
    """Programs are found wherever they lie; one that is missing is named, and nothing is left."""
    archive, target = tmp_path / "servers.tar.xz", tmp_path / "servers"
    write_archive(archive, SERVERS[1:])
    with pytest.raises(LabError, match=f"lacks {SERVERS[0]}"):
        unpack_servers(archive, target)
    assert not target.exists()
    write_archive(archive, (*SERVERS, "README"))
    unpack_servers(archive, target)
    assert {path.name for path in target.iterdir()} == set(SERVERS)


def test_archive_is_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the variable, or with one that names no file, the reason is given."""
    monkeypatch.delenv("SYNAPSE_BUNDLE_KUBERNETES", raising=False)
    with pytest.raises(LabError, match="names no archive"):
        find_archive()
    monkeypatch.setenv("SYNAPSE_BUNDLE_KUBERNETES", str(tmp_path / "none"))
    with pytest.raises(LabError, match="names no file"):
        find_archive()

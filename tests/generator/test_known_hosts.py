"""The host of an sftp repository has a key among the known hosts, as ssh itself would find it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from synapse_bundle.credentials import collection
from synapse_bundle.credentials.known_hosts import check_known_hosts
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from tests.settings import DIRECTORY

KEY = (DIRECTORY / "known_hosts").read_text().split()[-1]
HOST = "sftp:backup@nas.example.org:/sets"
PORT = "sftp://backup@nas.example.org:2222//sets"
IPV6 = "sftp://backup@[2001:db8::1]:2222//sets"


def write_line(names: str) -> str:
    """Return a line for hosts."""
    return f"{names} ssh-ed25519 {KEY}"


@pytest.mark.parametrize(
    ("repository", "names"),
    [
        (HOST, "nas.example.org"),
        (HOST, "192.0.2.1,nas.example.org"),
        (HOST, "*.example.org"),
        (HOST, "nas.example.???"),
        (HOST, "@cert-authority *.example.org"),
        ("sftp:backup@NAS.example.org:/sets", "nas.example.org"),
        ("sftp://backup@nas.example.org:22//sets", "nas.example.org"),
        ("sftp:backup@[2001:db8::1]:/sets", "2001:db8::1"),
        (PORT, "[nas.example.org]:2222"),
        (IPV6, "[2001:db8::1]:2222"),
    ],
)
def test_a_host_with_a_key_is_accepted(repository: str, names: str) -> None:
    """By its name, a pattern, an authority; with its port unless that is the usual one."""
    text = (
        f"# made with ssh-keyscan\n\n{write_line('other.example.net')}\n{write_line(names)} comment"
    )
    assert check_known_hosts(repository, text) == ""


@pytest.mark.parametrize(
    ("repository", "names", "command"),
    [
        (HOST, "backup.example.org", "ssh-keyscan nas.example.org"),
        (HOST, "[nas.example.org]:2222", "ssh-keyscan nas.example.org"),
        (HOST, "*.example.org,!nas.example.org", "ssh-keyscan nas.example.org"),
        (HOST, "@revoked nas.example.org", "ssh-keyscan nas.example.org"),
        (HOST, "nasXexample.org", "ssh-keyscan nas.example.org"),
        (PORT, "nas.example.org", "ssh-keyscan -p 2222 nas.example.org"),
        (IPV6, "2001:db8::1", "ssh-keyscan -p 2222 2001:db8::1"),
    ],
)
def test_a_host_without_a_key_is_refused(repository: str, names: str, command: str) -> None:
    """Every backup would fail with it; the message says what to type."""
    fault = check_known_hosts(repository, write_line(names))
    assert fault.startswith("holds no key of ")
    assert fault.endswith(f"make the file with: {command}")


@pytest.mark.parametrize("name", ["nas.example.org", "[nas.example.org]:2222"])
def test_hashed_names_are_found_as_ssh_finds_them(tmp_path: Path, name: str) -> None:
    """`ssh-keygen -H` hides the names; -F is ssh's own way to look for one."""
    file = tmp_path / "known_hosts"
    file.write_text(write_line(name) + "\n")
    subprocess.run(["ssh-keygen", "-H", "-f", str(file)], check=True, capture_output=True)
    text = file.read_text()
    assert "nas" not in text
    for repository, looked_for in ((HOST, "nas.example.org"), (PORT, "[nas.example.org]:2222")):
        found = subprocess.run(
            ["ssh-keygen", "-F", looked_for, "-f", str(file)], check=False, capture_output=True
        )
        assert (check_known_hosts(repository, text) == "") is (found.returncode == 0)


def test_other_text_is_no_key() -> None:
    """What ssh-keyscan prints when it fails, or half a line, is named by its number."""
    for bad in ("nas.example.org", f"ssh-ed25519 {KEY}", "nas.example.org: no route to host"):
        fault = check_known_hosts(HOST, f"{write_line('nas.example.org')}\n{bad}")
        assert re.match(r"line 2 is not the key of a host", fault), bad
    for empty in ("", "# nothing"):
        assert check_known_hosts(HOST, empty).startswith("holds no key of nas.example.org")


def test_the_run_names_the_file(tmp_path: Path) -> None:
    """`generate` refuses before it writes, and names file and host."""
    settings = tmp_path / "settings.yaml"
    text = (
        (DIRECTORY / "backup_sftp.yaml").read_text().replace("nas.example.org", "nas2.example.org")
    )
    settings.write_text(text)
    for name in ("ssh_key", "known_hosts"):
        (tmp_path / name).write_bytes((DIRECTORY / name).read_bytes())
    with pytest.raises(SettingsError, match=r"known_hosts: holds no key of nas2\.example\.org"):
        collection.collect(tmp_path / "bundle", loading.load(settings), tmp_path)

"""What a person may write into settings.yaml, and what the message is when it is wrong."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from synapse_bundle.sizing import MIB
from tests.settings import DIRECTORY, SHAPES

INVALID = sorted((DIRECTORY / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("case", INVALID, ids=lambda path: path.stem)
def test_invalid_settings_are_explained(case: Path, request: pytest.FixtureRequest) -> None:
    """Each kind of mistake gives exactly the reviewed message, all problems at once."""
    with pytest.raises(SettingsError) as caught:
        loading.load(case)
    expected = case.with_suffix(".txt")
    if request.config.getoption("--update-golden"):
        expected.write_text(caught.value.message + "\n")
    assert caught.value.message + "\n" == expected.read_text()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_every_shape_loads(shape: Path) -> None:
    """Every supported shape is valid."""
    assert isinstance(loading.load(shape), Settings)


def test_no_file_is_the_trial() -> None:
    """Without settings the bundle is a trial on localhost."""
    settings = loading.load(None)
    assert settings.trial
    assert settings.base_url == "https://localhost:8443"
    assert settings.federation_address == "localhost:8443"
    assert settings.certificate_names == ("localhost", "127.0.0.1")


def test_homeserver_has_a_default() -> None:
    """Matrix. before the server name is the homeserver's name, unless another is given."""
    settings = loading.parse("server_name: example.org\nemail: you@example.org\n", "settings.yaml")
    assert settings.homeserver == "matrix.example.org"
    assert settings.federation_address == "matrix.example.org:443"
    assert settings.max_upload_size == 90 * MIB


@pytest.mark.parametrize(
    ("word", "value"), [("yes", True), ("true", True), ("No", False), ("off", False)]
)
def test_a_switch_takes_yaml_s_words(word: str, value: bool) -> None:
    """Where a key takes yes or no, every spelling that YAML has for it is one."""
    settings = loading.parse(f"backup: {{append_only: {word}}}\n", "settings.yaml")
    assert settings.backup.append_only is value


def test_a_folder_of_backups_has_one_spelling() -> None:
    """What means the same place is the same in compose.yaml."""
    for text in ("./backups", "./backups/", "././backups//"):
        settings = loading.parse(f"backup: {{repository: {text}}}\n", "settings.yaml")
        assert settings.backup.repository == "./backups"


@pytest.mark.parametrize(
    "place",
    [
        "/backups",
        "/mnt/a disk/ä",
        "./a/b",
        "sftp:u@h:relative/path",
        "sftp:u@192.0.2.1:/path",
        "sftp://u@h:2222//path",
        "sftp://u@[2001:db8::1]:22//path",
        "s3:http://192.0.2.1:9000/b",
        "rest:https://h",
        "rest:http://nas:8000/a/",
    ],
)
def test_places_that_restic_knows_are_taken(place: str) -> None:
    """Each form of restic's documentation that the bundle can serve, as it was written."""
    files = {
        "sftp": ", ssh_key: k, known_hosts: h",
        "s3": ", credentials: c",
        "rest": "",
    }.get(place.partition(":")[0], "")
    settings = loading.parse(f"backup: {{repository: '{place}'{files}}}\n", "settings.yaml")
    assert settings.backup.repository == place


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A typo in --settings does not silently give the trial."""
    with pytest.raises(SettingsError, match="No such file or directory; write one with"):
        loading.load(tmp_path / "settings.yml")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xef\xbb\xbfadmin: x\n", "byte order mark"),
        (b"a: " + b"x" * 10_000_000, "larger than 64 KiB"),
        (b"admin: \xff\n", "not UTF-8"),
        (b"admin: \x00\n", r"line 1: holds the control character U\+0000; delete it"),
        (b"\tadmin: x\n", "indent with spaces"),
        (b"a: 1\n---\nb: 2\n", "is not YAML"),
    ],
    ids=["bom", "huge", "latin", "nul", "tab", "two-documents"],
)
def test_what_is_no_settings_file_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    """Bytes that no editor meant to write are refused with the reason."""
    path = tmp_path / "settings.yaml"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=reason):
        loading.load(path)


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """No run waits for a FIFO, nothing reads a device for ever, and no other file is advised."""
    path = tmp_path / "settings.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(SettingsError) as caught:
        loading.load(path)
    reason = "Is a directory" if kind == "directory" else "not a regular file"
    assert caught.value.message == f"{path} cannot be read: {reason}"


def test_nested_aliases_do_not_eat_memory(tmp_path: Path) -> None:
    """A billion laughs is refused within 100 MB of memory beyond the interpreter's own."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = tmp_path / "settings.yaml"
    path.write_text("\n".join(levels))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (200 * MIB, 200 * MIB))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    done = subprocess.run(
        [sys.executable, "-m", "synapse_bundle", "generate", "--settings", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 2, done.stderr
    assert "anchors and aliases" in done.stderr
    assert not (tmp_path / "bundle").exists()

"""The list that we publish is signed, says what its source says, and is made by a tool that refuses mistakes."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from bundle_helper.updates.look_up import PINNED_KEYS
from bundle_helper.updates.release_list import (
    LARGEST,
    ReleaseList,
    open_list,
    parse_part,
    read_keys,
)
from synapse_bundle.images import read_pins

FOLDER: Final = Path("releases")
PART: Final = """\
[synapse]
floor = "1.2"
advice = "Install it."
releases = [{version = "1.2", date = "2026-10", security = true}]
"""


def sign(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the tool as `make releases` does."""
    return subprocess.run(
        [sys.executable, "bin/sign_releases.py", *map(str, arguments)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": "images/helper"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key as the documents say to make one."""
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{tmp_path}/releases.key"]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "releases.key"


def read_public(key: Path) -> bytes:
    """Return its public half as the documents say."""
    command = ["openssl", "pkey", "-in", f"{key}", "-pubout"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def read_ours(repository: Path) -> ReleaseList:
    """Return the list in the repository, which a key of the image has signed."""
    signed = (repository / FOLDER / "releases.signed").read_bytes()
    return open_list(signed, read_keys(PINNED_KEYS.read_bytes()))


def test_our_list_is_what_its_source_says(repository: Path) -> None:
    """An edit of the source is published only by signing it; a look-up stays below 20 kB."""
    source = tomllib.loads((repository / FOLDER / "releases.toml").read_text())
    assert read_ours(repository).parts == {name: parse_part(part) for name, part in source.items()}
    assert (repository / FOLDER / "releases.signed").stat().st_size <= LARGEST <= 12_000


def test_our_list_knows_what_we_pin(repository: Path) -> None:
    """Every part of a bundle that can be asked for its version is in it."""
    parts, pins = read_ours(repository).parts, read_pins()
    major = pins["postgres"].tag.partition("-")[0]
    assert {"synapse", "cloudflared", f"postgresql-{major}", "debian"} <= set(parts)
    # What the advice says of our own pins is true.
    assert f"pins {pins['synapse'].tag}:" in parts["synapse"].advice
    assert f"pins {pins['cloudflared'].tag}," in parts["cloudflared"].advice
    tunnel, server = (parts[name].releases[0].version for name in ("cloudflared", "synapse"))
    behind = (
        f"pins cloudflared {pins['cloudflared'].tag} and Synapse {pins['synapse'].tag[1:]}, while"
        f" {tunnel} and {server} are out"
    )
    assert behind in " ".join((repository / "docs" / "updating.md").read_text().split())


def test_signed_again_it_is_a_later_list(repository: Path, key: Path, tmp_path: Path) -> None:
    """What the tool writes is what a reader takes: the next serial number, whether it changed or not."""
    source, target = tmp_path / "source.toml", tmp_path / "target.signed"
    source.write_text(PART)
    for serial in (1, 2):
        done = sign(repository, key, source, target)
        assert done.returncode == 0, done.stderr
        found = open_list(target.read_bytes(), read_keys(read_public(key)))
        assert (found.serial, found.parts["synapse"].floor) == (serial, "1.2")
        assert (found.expires - found.issued).days == 45
    assert target.stat().st_mode & 0o777 == 0o644


def test_openssl_verifies_it_as_documented(repository: Path, tmp_path: Path) -> None:
    """The commands of docs/updating.md, typed beside the list and the keys."""
    page = (repository / "docs" / "updating.md").read_text()
    (block,) = re.findall(r"(?m)((?:^    .*\n)+)", page.partition("openssl verifies it:")[2])[:1]
    signed = (repository / FOLDER / "releases.signed").read_bytes()
    (tmp_path / "releases.signed").write_bytes(signed)
    (tmp_path / "release_keys.pem").write_bytes(PINNED_KEYS.read_bytes())
    done = subprocess.run(["bash", "-ec", block], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n"), done.stderr
    (tmp_path / "releases.signed").write_bytes(signed.replace(b"1.164.2", b"1.164.1"))
    done = subprocess.run(["bash", "-ec", block], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("floor", "flor"), "synapse: the floor must be a security release"),
        (('"1.2", d', '"one", d'), "synapse: 'one' is not a version"),
        (("2026-10", "October"), "'October' is neither a day nor a month"),
        (("true", "false"), "the floor must be a security release"),
        (
            ("}]", '}, {version = "1.3", date = "2026-11-02", security = true}]'),
            "the floor must be a security release of the last month with one, 2026-11",
        ),
        (("}]", '}, {version = "v1.2.0", date = "2026-10", security = true}]'), "twice"),
        (("Install it.", "x" * 401), "advice is one line"),
        (("[synapse]", "[Synapse]"), "'Synapse' is not the name of a part"),
        (("}]", "}"), "source.toml: Unclosed array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_in_the_source_signs_nothing(
    repository: Path, key: Path, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    """The sentence names it, and the list that is there stays."""
    source, target = tmp_path / "source.toml", tmp_path / "target.signed"
    source.write_text(PART)
    assert sign(repository, key, source, target).returncode == 0
    before = target.read_bytes()
    source.write_text(PART.replace(*change))
    done = sign(repository, key, source, target)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_bytes() == before


def test_a_key_that_no_one_trusts_signs_nothing_of_ours(repository: Path, key: Path) -> None:
    """It says how the key becomes one that the image trusts, and shows no part of it."""
    before = (repository / FOLDER / "releases.signed").read_bytes()
    done = sign(repository, key)
    assert done.returncode == 1
    assert "openssl pkey -in" in done.stderr
    secret = base64.b64encode(key.read_bytes()).decode()
    assert secret not in done.stderr
    assert (repository / FOLDER / "releases.signed").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "openssl genpkey -algorithm ed25519 -out"),
        ("nonsense", "is not a PEM file with a plain key"),
        ("rsa", "does not hold an Ed25519 key"),
    ],
)
def test_what_is_no_key_is_named(
    repository: Path, tmp_path: Path, content: str | None, words: str
) -> None:
    """With what to type."""
    file = tmp_path / "other.key"
    if content == "rsa":
        subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-out", file], check=True, capture_output=True)  # fmt: skip
    elif content is not None:
        file.write_text(content)
    done = sign(repository, file)
    assert done.returncode == 1
    assert words in done.stderr


def test_a_list_that_is_not_ours_is_not_continued(
    repository: Path, key: Path, tmp_path: Path
) -> None:
    """Its serial number would be unknown, and readers refuse a lower one."""
    source, target = tmp_path / "source.toml", tmp_path / "target.signed"
    source.write_text(PART)
    target.write_text("nonsense\n")
    done = sign(repository, key, source, target)
    assert done.returncode == 1
    assert "Restore it." in done.stderr
    assert target.read_text() == "nonsense\n"

"""Packing and unpacking: what arrives is what was packed, and everything else is refused."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from synapse_bundle import __version__
from synapse_bundle.archive.amount import write_amount
from synapse_bundle.cli import main
from tests.generator.packing import (
    IMAGES,
    SAVED,
    FakeEngine,
    make_bundle,
    make_engine,
    make_repository,
)
from tests.generator.runs import read_tree

DAMAGED: Final = "is cut off or damaged"
SYM: Final = tarfile.SYMTYPE


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A `docker` with the bundle's images; the current directory has the bundle."""
    engine = make_engine(tmp_path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PATH", engine.path)
    make_bundle(Path("bundle"))
    return engine


@pytest.fixture
def packed(engine: FakeEngine) -> Path:
    """The bundle as one file, and a machine that has none of its images."""
    assert run("pack").exit_code == 0
    engine.lose_images()
    return Path("bundle.tar").absolute()


def run(*arguments: str) -> Result:
    """Run the command; what it refuses has no traceback."""
    done = CliRunner().invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def list_here() -> set[str]:
    """Return the names in the current directory."""
    return set(os.listdir())  # noqa: PTH208


def assert_refused(done: Result, engine: FakeEngine, *named: str) -> None:
    """Fail unless a run was refused with these words, before anything was written or loaded."""
    assert done.exit_code in (1, 2), done.output
    for words in named:
        assert words in done.stderr
    assert not os.path.lexists("other")
    assert not os.path.lexists(".other.part")
    assert engine.loaded is None


def test_what_arrives_is_what_was_packed(engine: FakeEngine, packed: Path) -> None:
    """Names, contents, modes, times and links of the folder, and the images byte for byte."""
    done = run("unpack", "--output", "other")
    assert done.exit_code == 0, done.output
    assert read_tree(Path("other")) == read_tree(Path("bundle"))
    assert {path.stat().st_mtime for path in Path("other").rglob("*") if path.is_file()} == {
        1_700_000_000
    }
    assert Path("other/current").readlink() == Path("größe ß")
    assert engine.loaded == SAVED
    assert not Path("other/.lock").exists()
    assert done.stdout.endswith("Next:  cd other && docker compose up -d\n")


def test_the_file_is_private_and_says_so_before(engine: FakeEngine) -> None:
    """Mode 0600 whatever the umask, the size before it is written, and how it goes on."""
    old = os.umask(0)
    done = run("pack", "my file.tar")
    os.umask(old)
    assert Path("my file.tar").stat().st_mode & 0o777 == 0o600
    before, _, after = done.stdout.partition("Packing")
    assert "my file.tar will have about 4.3 MB: the folder (2.0 MB) and 2 images" in before
    assert "every secret of the server, unencrypted" in before
    assert "create my file.tar (4.3 MB, readable only by you)" in after
    assert "tar -xOf 'my file.tar' images.tar | docker load" in after
    assert "hunter2" not in done.output
    assert list_here() == {"bundle", "my file.tar"}


def test_a_pipe_gets_plain_lines_and_a_terminal_a_bar(engine: FakeEngine) -> None:
    """Nothing that moves is written where nobody watches."""
    said = run("pack").output
    assert "\nPacking\ncreate bundle.tar" in said
    assert not {"\r", "%", "\x1b"} & set(said)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "synapse_bundle", "unpack", "--output", "other"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        # Linux reports the end of a terminal as an error.
        with contextlib.suppress(OSError):
            while more := os.read(ours, 4096):
                seen += more
        os.close(ours)
    assert process.returncode == 0, seen
    assert b"\rVerifying" in seen.replace(b"\x1b[?25l", b"")
    assert b"100%" in seen


def test_tar_and_sha256sum_can_read_it(packed: Path) -> None:
    """A machine without this program unpacks and verifies it with what every Linux has."""
    Path("plain").mkdir()
    subprocess.run(["tar", "-xpf", packed], cwd="plain", check=True)
    assert read_tree(Path("plain/bundle")) == read_tree(Path("bundle"))
    assert Path("plain/images.tar").read_bytes() == SAVED
    summed = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd="plain", check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert summed.stdout.count("OK") == 8
    index = json.loads(Path("plain/index.json").read_text())
    assert index["server_name"] == "example.org"
    assert index["images"][IMAGES[1]]["id"] == "sha256:1"


def test_a_file_damaged_anywhere_is_refused(engine: FakeEngine, packed: Path) -> None:
    """One bit in every part of the file, wherever it counts, is found before anything is written."""
    good = packed.read_bytes()
    with tarfile.open(packed) as tar:
        members = tar.getmembers()
    points = {1, len(good) - 20000}
    for member in members:
        points |= {member.offset + 3, member.offset + 105, member.offset_data - 512 + 150}
        if member.size:
            points |= {member.offset_data, member.offset_data + member.size - 1}
    for point in sorted(points):
        damaged = bytearray(good)
        damaged[point] ^= 0x04
        if bytes(damaged) == good:
            continue
        packed.write_bytes(damaged)
        done = run("unpack", "--output", "other")
        # Outside the members, tar has padding, which says nothing.
        if done.exit_code == 0:
            assert is_padding(members, point), point
            shutil.rmtree("other")
            (engine.directory / "loaded").unlink()
            continue
        assert_refused(done, engine, "bundle.tar", DAMAGED)


def is_padding(members: list[tarfile.TarInfo], point: int) -> bool:
    """Tell whether a byte is between the end of a member and the next header."""
    return any(
        each.offset_data + each.size <= point < each.offset_data + -(-each.size // 512) * 512
        for each in members
    )


def test_a_file_that_is_cut_off_anywhere_is_refused(engine: FakeEngine, packed: Path) -> None:
    """From nothing at all to all but the last byte; also one with something after its end."""
    size = packed.stat().st_size
    for length in sorted({0, 1, 511, 512, *range(1000, size, size // 25), size - 10240, size - 1}):
        os.truncate(packed, size)
        with packed.open("r+b") as file:
            kept = file.read()
            file.truncate(length)
        assert_refused(run("unpack", "--output", "other"), engine, "bundle.tar", DAMAGED)
        packed.write_bytes(kept)
    with packed.open("ab") as file:
        file.write(bytes(10240))
    assert_refused(run("unpack", "--output", "other"), engine, DAMAGED)


def rewrite(packed: Path, *more: tarfile.TarInfo) -> None:
    """Write the archive anew, by an attacker who keeps index and digests in order with it."""
    with tarfile.open(packed) as tar:
        entries = [(each, each.isreg() and tar.extractfile(each)) for each in tar]
        contents = [(each, file.read() if file else b"") for each, file in entries]
    *folder, images, index, _ = contents
    added = [(each, b"evil" if each.isreg() else b"") for each in more]
    members = [*folder, *added, images]
    described = json.loads(index[1])
    described["members"] = []
    sums = b""
    for header, content in members:
        fields: dict[str, Any] = {"name": header.name, "mode": f"{header.mode:04o}"}
        if header.issym():
            fields |= {"kind": "link", "target": header.linkname}
        elif header.isdir():
            fields |= {"kind": "directory"}
        else:
            header.size = len(content)
            digest = hashlib.sha256(content).hexdigest()
            fields |= {"kind": "file", "modified": header.mtime, "size": header.size}
            fields |= {"sha256": digest}
            sums += write_sum(digest, header.name)
        described["members"].append(fields)
    text = json.dumps(described).encode()
    sums += write_sum(hashlib.sha256(text).hexdigest(), "index.json")
    endings = [(tarfile.TarInfo("index.json"), text), (tarfile.TarInfo("SHA256SUMS"), sums)]
    with tarfile.open(packed, "w", format=tarfile.GNU_FORMAT) as tar:
        for header, content in [*members, *endings]:
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def write_sum(digest: str, name: str) -> bytes:
    """Return a line of SHA256SUMS."""
    mark = "\\" if "\\" in name else ""
    escaped = name.replace("\\", "\\\\")
    return f"{mark}{digest}  {escaped}\n".encode()


def make_header(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    """Return a header of a member."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.mode = kind, target, mode
    return header


def test_an_archive_that_was_written_anew_is_read(engine: FakeEngine, packed: Path) -> None:
    """The attacker of the next tests does everything else right."""
    rewrite(packed, make_header("bundle/harmless"))
    assert run("unpack", "--output", "other").exit_code == 0
    assert Path("other/harmless").read_text() == "evil"


OUTSIDE: Final = "is outside the folder"
MISPLACED: Final = "is in the wrong place"
LEAVES: Final = "is a link that leaves the folder"
NO_KIND: Final = "is not a file, a directory or a link"


@pytest.mark.parametrize(
    ("reason", "evil"),
    [
        (OUTSIDE, [make_header("/etc/evil")]),
        (OUTSIDE, [make_header("bundle/../evil")]),
        (OUTSIDE, [make_header("../evil")]),
        (OUTSIDE, [make_header("evil")]),
        (OUTSIDE, [make_header("bundle//evil")]),
        (OUTSIDE, [make_header("bundle/./evil")]),
        (MISPLACED, [make_header("bundle/missing/evil")]),
        (MISPLACED, [make_header("bundle/compose.yaml")]),
        (MISPLACED, [make_header("bundle/a", SYM, "empty"), make_header("bundle/a/evil")]),
        ("control character", [make_header("bundle/new\nline")]),
        (LEAVES, [make_header("bundle/evil", SYM, "/etc/passwd")]),
        (LEAVES, [make_header("bundle/evil", SYM, "../evil")]),
        (LEAVES, [make_header("bundle/evil", SYM, "empty/../../evil")]),
        ("leads nowhere", [make_header("bundle/evil", SYM)]),
        ("mode that no archive has", [make_header("bundle/evil", mode=0o4755)]),
        (NO_KIND, [make_header("bundle/evil", tarfile.LNKTYPE, "bundle/compose.yaml")]),
        (NO_KIND, [make_header("bundle/evil", tarfile.FIFOTYPE)]),
        (NO_KIND, [make_header("bundle/evil", tarfile.CHRTYPE)]),
    ],
)
def test_what_leaves_the_folder_is_not_unpacked(
    engine: FakeEngine, packed: Path, reason: str, evil: list[tarfile.TarInfo]
) -> None:
    """Absolute and climbing names, links that leave, devices, names twice, files through links."""
    rewrite(packed, *evil)
    assert_refused(run("unpack", "--output", "other"), engine, DAMAGED, reason)


def test_a_link_that_leaves_by_way_of_another_is_not_unpacked(
    engine: FakeEngine, packed: Path
) -> None:
    """Each alone stays inside; together they do not."""
    inner = make_header("bundle/empty/x", SYM, "..")
    outer = make_header("bundle/y", SYM, "empty/x/..")
    rewrite(packed, inner, outer)
    assert_refused(run("unpack", "--output", "other"), engine, "leaves the folder", "'bundle/y'")


def test_a_header_that_the_index_contradicts_is_refused(engine: FakeEngine, packed: Path) -> None:
    """A mode has no digest of its own: that of the index holds for it."""
    with tarfile.open(packed) as tar:
        header = tar.getmember("bundle/secrets")
    content = packed.read_bytes()
    old = content[header.offset : header.offset + 512]
    header.mode = 0o777
    new = header.tobuf(tarfile.GNU_FORMAT)
    assert len(new) == len(old)
    packed.write_bytes(content.replace(old, new))
    assert_refused(run("unpack", "--output", "other"), engine, DAMAGED, "describes other members")


def test_a_newer_format_is_refused(engine: FakeEngine, packed: Path) -> None:
    """With the version that wrote it, before its contents are looked at."""
    with tarfile.open(packed) as tar:
        index = tar.getmember("index.json")
        file = tar.extractfile(index)
        assert file
        old = file.read()
    new = old.replace(b'"format": 1', b'"format": 2').replace(
        f'"{__version__}"'.encode(), b'"9.9.9"'
    )
    content = packed.read_bytes().replace(old, new)
    before, after = (hashlib.sha256(each).hexdigest().encode() for each in (old, new))
    packed.write_bytes(content.replace(before, after))
    assert_refused(
        run("unpack", "--output", "other"), engine, "packed by synapse-bundle 9.9.9, which is newer"
    )


def test_another_architecture_is_refused(engine: FakeEngine, packed: Path) -> None:
    """One sentence with both, before anything changes."""
    (engine.directory / "arch").write_text("arm64\n")
    done = run("unpack", "--output", "other")
    assert_refused(done, engine, "holds images for amd64, and this machine is arm64")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_folder_is_never_overwritten(
    engine: FakeEngine, packed: Path, make: Callable[[Path], None]
) -> None:
    """Not an empty one either, nor a file, nor a link to nothing."""
    make(Path("taken"))
    before = os.lstat("taken")
    done = run("unpack", "--output", "taken")
    assert_refused(done, engine, "taken exists and is never overwritten")
    assert os.lstat("taken").st_ino == before.st_ino


def test_images_that_differ_after_loading_are_refused(engine: FakeEngine, packed: Path) -> None:
    """Another id under the name: the images are named, and no folder appears."""
    engine.hold(IMAGES[0], "sha256:evil", ("sha256:base", "sha256:layer-0"), "after")
    (engine.directory / "after" / "example_two_2").unlink()
    done = run("unpack", "--output", "other")
    assert done.exit_code == 1
    assert f"{IMAGES[0]} is sha256:evil, not sha256:0" in done.stderr
    assert f"{IMAGES[1]} is missing" in done.stderr
    assert list_here() == {"bundle", "bundle.tar"}


def test_another_image_store_is_compared_by_layers(engine: FakeEngine, packed: Path) -> None:
    """It has ids of its own for the same images; the layers of another image are still found."""
    (engine.directory / "store").write_text('[["driver-type","io.containerd.snapshotter.v1"]]\n')
    engine.hold(IMAGES[0], "sha256:manifest", ("sha256:base", "sha256:layer-0"), "after")
    assert run("unpack", "--output", "other").exit_code == 0
    engine.hold(IMAGES[0], "sha256:manifest", ("sha256:base", "sha256:evil"), "after")
    done = run("unpack", "--output", "another")
    assert done.exit_code == 1
    assert not Path("another").exists()


def test_an_image_that_loses_its_name_is_mentioned(engine: FakeEngine, packed: Path) -> None:
    """Other bundles of the machine may use it: its id is told, so that it can be named again."""
    engine.hold(IMAGES[0], "sha256:older", ("sha256:older",))
    done = run("unpack", "--output", "other")
    assert done.exit_code == 0
    assert f"note      {IMAGES[0]} was sha256:older here" in done.stdout


def test_an_engine_that_refuses_is_quoted(engine: FakeEngine, packed: Path) -> None:
    """An engine without room says so itself; no folder appears, and nothing is left."""
    engine.act("load", "head -c 1000 >/dev/null; echo 'no space left on device' >&2; exit 1")
    done = run("unpack", "--output", "other")
    assert done.exit_code == 1
    assert "`docker image load` failed: no space left on device" in done.stderr
    assert list_here() == {"bundle", "bundle.tar"}


def test_a_save_that_fails_leaves_no_file(engine: FakeEngine) -> None:
    """Half a tar of images never counts as one."""
    engine.act("save", "head -c 100000 saved; echo 'unexpected EOF' >&2; exit 1")
    done = run("pack")
    assert done.exit_code == 1
    assert "`docker image save` failed: unexpected EOF" in done.stderr
    assert list_here() == {"bundle"}


def break_folder(change: str) -> None:
    """Bring something into the folder that must not be packed."""
    place = Path("bundle/größe ß/bad")
    if change == "absolute link":
        place.symlink_to("/etc/passwd")
    elif change == "climbing link":
        place.symlink_to("../../other")
    elif change == "link by way of another":
        Path("bundle/empty/x").symlink_to("..")
        place.symlink_to("../empty/x/..")
    elif change == "pipe":
        os.mkfifo(place)
    elif change == "line":
        Path("bundle/größe ß/bad\n").touch()
    else:
        Path(os.fsdecode(b"bundle/bad\xff")).touch()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("absolute link", "is a link that leaves the folder, to '/etc/passwd'"),
        ("climbing link", "is a link that leaves the folder, to '../../other'"),
        ("link by way of another", "is a link that leaves the folder"),
        ("pipe", "is not a file, a directory or a link"),
        ("line", "has a control character in its name"),
        ("bytes", "is not UTF-8"),
    ],
)
def test_what_leaves_the_folder_is_not_packed(engine: FakeEngine, change: str, named: str) -> None:
    """It is named with the reason, and no file is written."""
    break_folder(change)
    done = run("pack")
    assert done.exit_code == 2
    assert named in done.stderr
    assert "bad" in done.stderr
    assert list_here() == {"bundle"}


def test_backups_travel_when_they_are_wanted(engine: FakeEngine) -> None:
    """Without the option the repository stays and is mentioned; with it all but the locks goes."""
    repository = make_repository(Path("bundle/my backups"))
    assert "note      my backups stays here; --with-backups" in run("pack", "without.tar").stdout
    assert run("pack", "with.tar", "--with-backups").exit_code == 0
    assert run("unpack", "without.tar", "--output", "without").exit_code == 0
    assert run("unpack", "with.tar", "--output", "with").exit_code == 0
    assert not Path("without/my backups").exists()
    shutil.rmtree(repository / "locks")
    (repository / "locks").mkdir()
    assert read_tree(Path("with")) == read_tree(Path("bundle"))


def test_backups_that_do_not_exist_are_not_promised(engine: FakeEngine) -> None:
    """An operator who wants a final set along learns that there is none."""
    done = run("pack", "--with-backups")
    assert done.exit_code == 2
    assert "bundle holds no backup repository" in done.stderr
    assert list_here() == {"bundle"}


def test_a_folder_with_data_is_restored_first(engine: FakeEngine) -> None:
    """`up -d` alone would be refused where the volumes are empty."""
    Path("bundle/secrets/instance").write_text("1234\n")
    assert run("pack").exit_code == 0
    done = run("unpack", "--output", "other")
    assert (
        "Next:  cd other && docker compose run --rm restore && docker compose up -d\n"
    ) in done.stdout


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("cat saved; touch ../work/bundle/new", "bundle was changed while it was packed"),
        ("cat saved; echo x >>../work/bundle/compose.yaml", "bundle was changed while"),
        ("cat saved; rm ../work/bundle/compose.yaml", "bundle was changed while"),
        ("cat saved; cp example_two_2 example_one_1", "image was replaced while it was packed"),
    ],
)
def test_what_changes_while_it_is_packed_is_not_packed(
    engine: FakeEngine, script: str, named: str
) -> None:
    """Folder and images are looked at again before the file gets its name."""
    engine.act("save", script)
    done = run("pack")
    assert done.exit_code == 1
    assert named in done.stderr
    assert list_here() == {"bundle"}


def test_nothing_is_packed_where_a_part_is_missing(engine: FakeEngine) -> None:
    """No bundle, a place inside it, a file that exists, an image that is not there."""
    for arguments, named in (
        (["--output", "nowhere"], "nowhere holds no bundle"),
        (["bundle/file.tar"], "would be inside the bundle"),
        (["missing/file.tar"], "missing is not a directory"),
        (["bundle"], "bundle exists and is never overwritten"),
    ):
        done = run("pack", *arguments)
        assert done.exit_code == 2, done.output
        assert named in done.stderr
    engine.lose_images()
    done = run("pack")
    assert done.exit_code == 2
    assert "missing on this machine" in done.stderr
    assert all(reference in done.stderr for reference in IMAGES)
    assert list_here() == {"bundle"}


def test_an_image_named_by_its_digest_is_refused(engine: FakeEngine) -> None:
    """No engine finds it by that name after loading it."""
    config = engine.directory / "config.json"
    pinned = f"{IMAGES[0]}@sha256:{'0' * 64}"
    config.write_text(config.read_text().replace(IMAGES[0], pinned))
    done = run("pack")
    assert done.exit_code == 2
    assert pinned in done.stderr


def test_what_is_mounted_from_outside_is_mentioned(tmp_path: Path, engine: FakeEngine) -> None:
    """A directory that the bundle mounts and that is not in it has to be brought along by hand."""
    config = engine.directory / "config.json"
    document = json.loads(config.read_text())
    inside = str(Path("bundle/secrets").absolute())
    document["services"]["one"]["volumes"] = [
        {"type": "bind", "source": "/etc/ssl/mine"},
        {"type": "bind", "source": inside},
        {"type": "volume", "source": "media"},
    ]
    config.write_text(json.dumps(document))
    notes = [line for line in run("pack").stdout.splitlines() if line.startswith("note")]
    assert notes == ["note      /etc/ssl/mine is mounted, but is not in the folder, and stays here"]


def test_what_is_no_archive_is_refused(engine: FakeEngine) -> None:
    """A file of another kind, a directory, a pipe, nothing."""
    Path("text").write_text("hello\n")
    os.mkfifo("pipe")
    for name, named in (
        ("text", DAMAGED),
        ("bundle", "bundle"),
        ("pipe", "pipe is not a file"),
        ("nothing", "nothing: No such file"),
    ):
        assert_refused(run("unpack", name, "--output", "other"), engine, named)


def test_amounts_are_written_for_people() -> None:
    """Two digits that count, and the unit that a disk is sold in."""
    written = [write_amount(each) for each in (0, 999, 1000, 9960, 999_499, 1_340_000_000)]
    assert written == ["0 bytes", "999 bytes", "1.0 kB", "10 kB", "999 kB", "1.3 GB"]

"""Full disks, for real: each volume on a small filesystem of its own, filled and freed again.

Whoever lacks room says so, nothing is corrupted, and room alone heals it. The tests are in order:
the first ones see the first start, and the others what runs since.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from tests.stack.conftest import remove_images
from tests.stack.harm import ask_database, look_inside
from tests.stack.load import Sender, open_sender
from tests.stack.people import register
from tests.stack.stacks import Stack, generate, run, wait_until

pytestmark = pytest.mark.engine

FULL = "No space left on device"
# In MiB. PostgreSQL's new database takes 40 and its log 16 more for each segment.
SIZES = {"postgres": 224, "media": 24, "uploads": 24, "certificates": 8, "report": 8}
FILL = (
    "dd if=/dev/zero of=ballast bs=1M 2>/dev/null || true;"
    "dd if=/dev/zero of=ballast.rest bs=512 2>/dev/null || true; sync"
)
SMALL, LARGE = 20_000, 3_000_000


@contextmanager
def small_filesystem(path: Path, mebibytes: int, owner: int = 0) -> Iterator[str]:
    """Yield a loop device with an empty filesystem, none of which is reserved for root."""
    if os.geteuid():
        pytest.skip("only root may make a filesystem")
    with path.open("wb") as file:
        file.truncate(mebibytes * 2**20)
    run(["mkfs.ext4", "-q", "-m", "0", "-E", f"root_owner={owner}:{owner}", str(path)])
    device = run(["losetup", "--show", "--find", str(path)]).stdout.strip()
    try:
        yield device
    finally:
        run(["losetup", "--detach", device])


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The trial with small volumes, generated and not started."""
    place = tmp_path_factory.mktemp("cramped")
    stack = generate(place, "cramped", "")
    with ExitStack() as held:
        volumes = {}
        for name, size in SIZES.items():
            # The image gives the place to PostgreSQL, and Docker that owner to a volume of its own.
            owner = 999 if name == "postgres" else 0
            device = held.enter_context(small_filesystem(place / name, size, owner))
            volumes[name] = {"driver_opts": {"type": "ext4", "device": device}}
        override = stack.directory / "compose.override.yaml"
        override.write_text(yaml.safe_dump({"volumes": volumes}))
        held.callback(remove_images, stack)
        held.callback(stack.down)
        stack.build()
        stack.compose("create")
        yield stack


@contextmanager
def filled(stack: Stack, *volumes: str) -> Iterator[None]:
    """Leave no room in volumes, and give it back."""
    for volume in volumes:
        look_inside(stack, volume, FILL)
    try:
        yield
    finally:
        for volume in volumes:
            look_inside(stack, volume, "rm -f ballast ballast.rest")


def read_log(stack: Stack, service: str) -> str:
    """Return all that a service has said."""
    done = stack.compose("logs", "--no-log-prefix", service)
    return done.stdout + done.stderr


def wait_told(stack: Stack, service: str, text: str, times: int = 1) -> None:
    """Wait until a service has said something at least so often."""
    wait_until(lambda: read_log(stack, service).count(text) >= times, f"{service} says {text!r}")


def probe(stack: Stack, service: str) -> str:
    """Return what a service's health check last said."""
    log = stack.inspect(service)["State"]["Health"]["Log"] or [{"Output": ""}]
    return str(log[-1]["Output"])


def test_a_first_start_without_room_says_what_lacks_and_heals(cramped: Stack) -> None:
    """PostgreSQL is started anew until it has room; bootstrap and the helper say what they lack."""
    with filled(cramped, "certificates"):
        with filled(cramped, "report"):
            with filled(cramped, "postgres"):
                starting = ("up", "--detach", "--no-deps", "postgres")
                # Docker makes directories for its mounts there, and says it itself.
                assert FULL.lower() in cramped.compose(*starting, check=False).stderr
                look_inside(cramped, "postgres", "truncate --size=-4M ballast")
                cramped.compose(*starting)
                wait_told(cramped, "postgres", FULL, times=2)
            cramped.wait_healthy("postgres")
            done = cramped.compose("up", "--detach", check=False)
            assert done.returncode != 0
            told = read_log(cramped, "bootstrap")
            assert f"database.json cannot be written ({FULL})" in told
            assert "it must not be full" in told
        cramped.compose("up", "--detach")
        wait_until(lambda: FULL in probe(cramped, "helper"), "the helper's health tells it")
        assert "no usable certificate has been published yet" in probe(cramped, "apache")
        assert look_inside(cramped, "certificates", "ls") == "ballast\nballast.rest\nlost+found\n"
    cramped.wait_healthy()
    assert cramped.check().returncode == 0


def exhaust_log(stack: Stack, sender: Sender) -> None:
    """Let PostgreSQL begin new segments of its log until it finds no room for one."""
    with suppress(AssertionError):
        for _ in range(40):
            ask_database(stack, "postgres", "SELECT pg_switch_wal()")
            done = len(sender.acknowledged) + len(sender.failures)
            wait_until(
                lambda n=done: len(sender.acknowledged) + len(sender.failures) > n,  # type: ignore[misc]
                "the sender is answered",
            )


def test_a_full_database_refuses_and_loses_nothing(cramped: Stack) -> None:
    """Without room for its log PostgreSQL ends and says why; with room all that it took is there."""
    with open_sender(cramped) as sender:
        with filled(cramped, "postgres"):
            with sender.refused():
                exhaust_log(cramped, sender)
            wait_told(cramped, "postgres", FULL, times=3)
        sender.wait_for_more()
        cramped.wait_healthy()
    sender.assert_nothing_is_lost()
    failed = "SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database"
    assert ask_database(cramped, "postgres", failed) == "0"


@pytest.mark.parametrize("volume", ["media", "uploads"])
def test_without_room_for_files_text_goes_on(cramped: Stack, volume: str) -> None:
    """An upload that finds no room is refused and told, nothing of it stays, and text goes on."""
    person = register(cramped)
    room = person.create_room()
    kept = os.urandom(LARGE)
    uri = person.upload(kept).document["content_uri"]
    find = "find . -path './local_content*' -type f | sort"
    with filled(cramped, volume):
        before = look_inside(cramped, "media", find)
        assert person.upload(os.urandom(LARGE)).status >= 500
        wait_told(cramped, "synapse", FULL)
        assert look_inside(cramped, "media", find) == before
        person.send(room, f"{volume} is full")
        assert person.download(uri).body == kept
        assert cramped.health("synapse") == "healthy"
    again = os.urandom(LARGE)
    assert person.download(person.upload(again).document["content_uri"]).body == again


def test_without_room_for_a_new_certificate_the_old_one_serves(cramped: Stack) -> None:
    """What cannot be published is told, Apache goes on with what it has, and room heals it."""
    with filled(cramped, "certificates"):
        before = look_inside(cramped, "certificates", "cat live.pem")
        # In place: what is removed would leave room for what comes next.
        spoil = "printf rubbish | dd of=live.pem conv=notrunc status=none; sync"
        look_inside(cramped, "certificates", spoil)
        wait_until(lambda: FULL in probe(cramped, "helper"), "the helper's health tells it")
        assert cramped.ask("GET", "/_matrix/client/versions").status == 200
        assert FULL in cramped.check().stdout
        assert before[7:] in look_inside(cramped, "certificates", "cat live.pem")
    wait_until(lambda: cramped.check().returncode == 0, "a new one is published and served")
    assert before[7:] not in look_inside(cramped, "certificates", "cat live.pem")
    cramped.wait_healthy()


def test_without_room_for_the_helpers_own_state_it_starts_anew(cramped: Stack) -> None:
    """A helper that cannot write its status says so and ends; the next one finds room again."""
    before = cramped.inspect("helper")["RestartCount"]
    fill = "cat /dev/zero >/run/helper/ballast"
    cramped.compose("exec", "--no-TTY", "helper", "sh", "-c", fill, check=False)
    wait_told(cramped, "helper", f"cannot be written ({FULL})")
    wait_until(lambda: cramped.inspect("helper")["RestartCount"] > before, "it is restarted")
    cramped.wait_healthy("helper")


def test_a_copy_without_room_fails_and_the_source_is_whole(tmp_path: Path) -> None:
    """`generate` onto a full filesystem says so in a line, and the old bundle stands."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with small_filesystem(tmp_path / "bundle.img", 8) as device:
        run(["mount", device, str(mounted)])
        try:
            copy = generate(tmp_path, "copied", "")
            run(["cp", "--archive", str(copy.directory), str(mounted / "bundle")])
            copy.directory = mounted / "bundle"
            names = sorted(p for p in copy.directory.rglob("*") if p.is_file())
            before = {path: path.read_bytes() for path in names}
            with copy.settings.open("a") as file:
                file.write("max_upload_size: 20M\n")
            run(["sh", "-c", FILL], cwd=mounted)
            with pytest.raises(AssertionError, match=FULL) as failed:
                copy.generate()
            assert "Traceback" not in str(failed.value)
            found = sorted(p for p in copy.directory.rglob("*") if p.is_file())
            assert {path: path.read_bytes() for path in found} == before
            backup = ["cp", "--archive", str(copy.directory / "secrets"), str(mounted / "backup")]
            assert (
                FULL in subprocess.run(backup, capture_output=True, text=True, check=False).stderr
            )
            run(["sh", "-c", "rm -rf ballast* backup"], cwd=mounted)
            copy.generate()
            changed = copy.directory / "synapse" / "homeserver.yaml"
            assert changed.read_bytes() != before[changed]
        finally:
            run(["umount", str(mounted)])

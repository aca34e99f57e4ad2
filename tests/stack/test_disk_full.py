"""Real full disks: each volume on a small filesystem of its own, filled and freed again.

A service that lacks room says so, nothing is corrupted, and with room it recovers. The tests are in order:
the first ones see the first start, and the others what runs since.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.acme.acme_bundles import patch
from tests.stack.accounts import register
from tests.stack.fault_injection import ask_database, run_in_volume
from tests.stack.lifetime import remove_images
from tests.stack.message_sender import Sender, open_sender
from tests.support.processes import run
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

FULL: Final = "No space left on device"
# In MiB. PostgreSQL's new database takes 40 and its log 16 more for each segment.
SIZES: Final = {"postgres": 224, "media": 24, "uploads": 24, "certificates": 8, "report": 8}
FILL: Final = (
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
    folder = tmp_path_factory.mktemp("cramped")
    stack = generate(folder, "cramped", "")
    with ExitStack() as held:
        volumes = {}
        for name, size in SIZES.items():
            # The image gives the place to PostgreSQL, and Docker that owner to a volume of its own.
            owner = 999 if name == "postgres" else 0
            device = held.enter_context(small_filesystem(folder / name, size, owner))
            volumes[name] = {"driver_opts": {"type": "ext4", "device": device}}
        override = stack.directory / "compose.override.yaml"
        # Probes that follow each other sooner; what a probe is and how many must fail is the bundle's own.
        sooner = {"healthcheck": {"interval": "2s"}}
        services: dict[str, dict[str, object]] = {
            "helper": {**sooner, **patch()},
            "apache": {**sooner},
        }
        # So that few lines fill it and turn it over; the driver is the bundle's own.
        logging = {"driver": "local", "options": {"max-size": "64k", "max-file": "3"}}
        services["apache"]["logging"] = logging
        override.write_text(yaml.safe_dump({"services": services, "volumes": volumes}))
        held.callback(remove_images, stack)
        held.callback(stack.down)
        stack.build()
        stack.compose("create")
        yield stack


@contextmanager
def filled(stack: Stack, *volumes: str) -> Iterator[None]:
    """Fill volumes, and free them again."""
    for volume in volumes:
        run_in_volume(stack, volume, FILL)
    try:
        yield
    finally:
        for volume in volumes:
            run_in_volume(stack, volume, "rm -f ballast ballast.rest")


def read_log(stack: Stack, service: str) -> str:
    """Return all that a service has logged."""
    done = stack.compose("logs", "--no-log-prefix", service)
    return done.stdout + done.stderr


def wait_logged(stack: Stack, service: str, text: str, times: int = 1) -> None:
    """Wait until a service has logged a text this many times."""
    wait_for(lambda: read_log(stack, service).count(text) >= times, f"{service} says {text!r}")


def probe(stack: Stack, service: str) -> str:
    """Return what a service's health check last said."""
    log = stack.inspect(service)["State"]["Health"]["Log"] or [{"Output": ""}]
    return str(log[-1]["Output"])


def test_a_first_start_without_room_says_what_lacks_and_heals(cramped: Stack) -> None:
    """PostgreSQL is restarted until it has room; bootstrap and the helper say what they lack."""
    with filled(cramped, "certificates"):
        with filled(cramped, "report"):
            with filled(cramped, "postgres"):
                cramped.compose("up", "--detach", "--no-deps", "postgres")
                wait_logged(cramped, "postgres", FULL, times=2)
            cramped.wait_healthy("postgres")
            done = cramped.compose("up", "--detach", check=False)
            assert done.returncode != 0
            output = read_log(cramped, "bootstrap")
            assert f"database.json cannot be written ({FULL})" in output
            assert "it must not be full" in output
        cramped.compose("up", "--detach")
        wait_for(lambda: FULL in probe(cramped, "helper"), "the helper's health reports it")
        assert "no usable certificate has been published yet" in probe(cramped, "apache")
        assert run_in_volume(cramped, "certificates", "ls") == "ballast\nballast.rest\nlost+found\n"
    cramped.wait_healthy()
    assert cramped.check().returncode == 0


def exhaust_log(stack: Stack, sender: Sender) -> None:
    """Let PostgreSQL begin new segments of its log until it finds no room for one."""
    with suppress(AssertionError):
        for _ in range(40):
            ask_database(stack, "postgres", "SELECT pg_switch_wal()")
            done = len(sender.acknowledged) + len(sender.failures)
            wait_for(
                lambda n=done: len(sender.acknowledged) + len(sender.failures) > n,  # type: ignore[misc]
                "the sender is answered",
            )


def test_a_full_database_refuses_and_loses_nothing(cramped: Stack) -> None:
    """Without room for its log PostgreSQL ends and says why; with room all acknowledged messages are there."""
    with open_sender(cramped) as sender:
        with filled(cramped, "postgres"):
            with sender.refused():
                exhaust_log(cramped, sender)
            wait_logged(cramped, "postgres", FULL, times=3)
        sender.wait_for_more()
        cramped.wait_healthy()
    sender.assert_nothing_is_lost()
    failed = "SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database"
    assert ask_database(cramped, "postgres", failed) == "0"


@pytest.mark.parametrize("volume", ["media", "uploads"])
def test_without_room_for_files_text_goes_on(cramped: Stack, volume: str) -> None:
    """An upload without room is refused and logged, nothing of it stays, and messages still pass."""
    person = register(cramped)
    room = person.create_room()
    kept = os.urandom(LARGE)
    uri = person.upload(kept).json["content_uri"]
    find = "find . -path './local_content*' -type f | sort"
    with filled(cramped, volume):
        before = run_in_volume(cramped, "media", find)
        assert person.upload(os.urandom(LARGE)).status >= 500
        wait_logged(cramped, "synapse", FULL)
        assert run_in_volume(cramped, "media", find) == before
        person.send(room, f"{volume} is full")
        assert person.download(uri).body == kept
        assert cramped.health("synapse") == "healthy"
    again = os.urandom(LARGE)
    assert person.download(person.upload(again).json["content_uri"]).body == again


def test_without_room_for_a_new_certificate_the_old_one_serves(cramped: Stack) -> None:
    """What cannot be published is reported, Apache goes on with what it has, and room heals it."""
    with filled(cramped, "certificates"):
        before = run_in_volume(cramped, "certificates", "cat live.pem")
        # In place: what is removed would leave room for what comes next.
        spoil = "printf rubbish | dd of=live.pem conv=notrunc status=none; sync"
        run_in_volume(cramped, "certificates", spoil)
        wait_for(lambda: FULL in probe(cramped, "helper"), "the helper's health reports it")
        assert cramped.ask("GET", "/_matrix/client/versions").status == 200
        assert FULL in cramped.check().stdout
        assert before[7:] in run_in_volume(cramped, "certificates", "cat live.pem")
    wait_for(lambda: cramped.check().returncode == 0, "a new one is published and served")
    assert before[7:] not in run_in_volume(cramped, "certificates", "cat live.pem")
    cramped.wait_healthy()


def test_without_room_for_its_own_state_the_helper_restarts(cramped: Stack) -> None:
    """A helper that cannot write its status says so and ends; the next one finds room again."""
    before = cramped.inspect("helper")["RestartCount"]
    fill = "cat /dev/zero >/run/helper/ballast"
    cramped.compose("exec", "--no-TTY", "helper", "sh", "-c", fill, check=False)
    wait_logged(cramped, "helper", f"cannot be written ({FULL})")
    wait_for(lambda: cramped.inspect("helper")["RestartCount"] > before, "it is restarted")
    cramped.wait_healthy("helper")


@contextmanager
def small_log(stack: Stack, service: str, path: Path) -> Iterator[Path]:
    """Yield the folder where the engine writes a service's log, on a small filesystem of its own."""
    root = Path(run(["docker", "info", "--format", "{{.DockerRootDir}}"]).stdout.strip())
    folder = root / "containers" / stack.container(service) / "local-logs"
    if not folder.is_dir():
        pytest.skip("the engine writes its logs on another machine")
    stack.compose("stop", service)
    with small_filesystem(path, 2) as device:
        run(["mount", device, str(folder)])
        try:
            stack.compose("start", service)
            stack.wait_healthy(service)
            yield folder
        finally:
            stack.compose("stop", service)
            # The engine has unmounted what it found among a container's own files.
            run(["umount", str(folder)], check=False)
            stack.compose("start", service)


def test_without_room_for_its_log_a_service_goes_on(cramped: Stack, tmp_path: Path) -> None:
    """Lines that find no room are lost, through several turns of the log too, and nothing else is."""
    with small_log(cramped, "apache", tmp_path / "log") as folder:
        cramped.ask("GET", "/before")
        wait_logged(cramped, "apache", "/before")
        run(["sh", "-c", FILL], cwd=folder)
        assert os.statvfs(folder).f_bavail == 0
        # Each 404 is a line of some 150 bytes.
        for number in range(1500):
            assert cramped.ask("GET", f"/meanwhile/{number}").status == 404
        assert cramped.ask("GET", "/_matrix/client/versions").status == 200
        assert cramped.health("apache") == "healthy"
        run(["sh", "-c", "rm -f ballast ballast.rest"], cwd=folder)
        cramped.ask("GET", "/afterwards")
        wait_logged(cramped, "apache", "/afterwards")
    cramped.wait_healthy()
    assert cramped.check().returncode == 0


def test_a_copy_without_room_fails_and_the_source_is_whole(tmp_path: Path) -> None:
    """`generate` onto a full filesystem says so in a line, and the old bundle stays."""
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

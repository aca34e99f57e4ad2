"""The duty as it runs: versions asked of real servers, messages really sent, rows really shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper import status
from bundle_helper.check import image_ages, probes, runner
from bundle_helper.service.updates_duty import keep_informed
from bundle_helper.updates.running_versions import find_running
from tests.helper.monitoring.test_watch import Service
from tests.helper.updates.conftest import Publisher, sign, write_content, write_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from bundle_helper.settings.release_settings import ReleaseSettings
    from tests.helper.conftest import Bundle

PACKAGE = str(Path(image_ages.__file__).parents[2])
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
SAFE = {"synapse": ("1.163.2", "1.163.2"), "postgresql-17": ("17.12", "17.12")}


@pytest.fixture
def postbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A webhook as long as it is used."""
    monkeypatch.setenv("PYTHONPATH", PACKAGE)
    with Service() as service:
        yield service


@pytest.fixture
def told(
    bundle: Bundle, releases: ReleaseSettings, keys_file: Path, postbox: Service, tmp_path: Path
) -> Bundle:
    """A bundle with a tunnel that reads the publisher's list, its homeserver and database known."""
    (tmp_path / "notification_urls").write_text(f"json://127.0.0.1:{postbox.port}/hook\n")
    Path(bundle.environ["DATABASE_REPORT_FILE"]).write_text(
        json.dumps({"proof": {"server_version": "17.12 (Debian 17.12-1.pgdg13+1)"}})
    )
    bundle.environ.update(
        RELEASE_LIST=str(releases.source),
        RELEASE_KEYS_FILE=str(keys_file),
        RELEASES_DIRECTORY=str(releases.directory),
        NOTIFICATION_FILE=str(tmp_path / "notification_urls"),
        IMAGE_PINS=f"postgres:17-trixie={NOW.date()} cloudflare/cloudflared:2026.8.2={NOW.date()}",
    )
    bundle.homeserver.packages = NOW - timedelta(days=3)
    return bundle


def publish(
    publisher: Publisher, key: Ed25519PrivateKey, serial: int, **parts: tuple[str, str | None]
) -> None:
    """Publish a list of parts by newest release and floor."""
    content = {name.replace("_", "-"): write_part(*part) for name, part in parts.items()}
    publisher.content = sign(key, write_content(serial, parts=content))


def look(bundle: Bundle, moment: datetime = NOW) -> str | None:
    """Do one round, and return the problem that it leaves."""
    keep_informed(bundle.settings, lambda: moment, lambda _: None)
    left = json.loads((bundle.settings.state_directory / f"{status.UPDATES}.json").read_text())
    problem: str | None = left["problem"]
    return problem


def show(bundle: Bundle, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as in the container."""
    code = "from bundle_helper.cli import updates; updates()"
    environ = {**bundle.environ, "PYTHONPATH": PACKAGE, "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_part_is_asked_where_it_can_be(told: Bundle) -> None:
    """Synapse and Apache answer; the database's version is bootstrap's, cloudflared's its image's."""
    day = image_ages.read_helper().date().isoformat()
    found = {part.title: (part.name, part.version) for part in find_running(told.settings)}
    assert found == {
        "Synapse": ("synapse", "1.163.2"),
        "PostgreSQL": ("postgresql-17", "17.12"),
        "cloudflared": ("cloudflared", "2026.8.2"),
        "Debian in the helper's image": ("debian", day),
        "Debian in Apache's image": ("debian", f"{(NOW - timedelta(days=3)).date()}"),
    }


def test_what_cannot_be_asked_is_unknown(told: Bundle) -> None:
    """A service that is starting ends nothing."""
    told.environ.update(SYNAPSE_URL="http://127.0.0.1:1", APACHE_ADDRESS="127.0.0.1:1")
    Path(told.environ["DATABASE_REPORT_FILE"]).unlink()
    versions = {part.title: part.version for part in find_running(told.settings)}
    assert [title for title, version in versions.items() if version] == [
        "Debian in the helper's image",
        "cloudflared",
    ]
    assert look(told) is None


def test_a_security_release_reaches_the_operator(
    told: Bundle, publisher: Publisher, key: Ed25519PrivateKey, postbox: Service
) -> None:
    """At once, once; installed, that is told once as well; other releases once a week."""
    publish(publisher, key, 1, synapse=("1.164.2", "1.163.2"))
    assert look(told) is None
    (first,) = postbox.posted
    assert first.startswith(
        "matrix.example.org: Synapse 1.163.2: 1.164.2 (2026-11) is out. Install"
    )
    publish(publisher, key, 2, synapse=("1.164.3", "1.164.3"))
    assert "SECURITY" in str(look(told, NOW + 27 * HOUR))
    (_, second) = postbox.posted
    assert "SECURITY: versions before 1.164.3 have known holes" in second
    assert "SECURITY" in str(look(told, NOW + 28 * HOUR))
    told.homeserver.version = "1.164.3"
    assert look(told, NOW + 29 * HOUR) is None
    assert postbox.posted[2:] == ["matrix.example.org: Synapse: the security update is installed"]
    assert publisher.requests == 2


def test_a_message_that_reached_no_one_is_sent_again(
    told: Bundle, publisher: Publisher, key: Ed25519PrivateKey, postbox: Service
) -> None:
    """And without an address nothing counts as told."""
    publish(publisher, key, 1, postgresql_17=("17.13", "17.13"))
    told.environ["NOTIFICATION_FILE"] = "none"
    assert look(told)
    told.environ["NOTIFICATION_FILE"] = str(
        Path(told.environ["RELEASES_DIRECTORY"]).parent / "notification_urls"
    )
    postbox.status = 500
    assert look(told, NOW + HOUR)
    assert postbox.posted == []
    postbox.status = 200
    assert look(told, NOW + 2 * HOUR)
    assert len(postbox.posted) == 1


def test_a_full_volume_does_not_repeat_a_message(
    told: Bundle, publisher: Publisher, key: Ed25519PrivateKey, postbox: Service
) -> None:
    """What could not be remembered as sent is not sent, and is told when there is room again."""
    publish(publisher, key, 1, postgresql_17=("17.13", "17.13"))
    postbox.status = 500
    look(told)
    postbox.status = 200
    beside = Path(told.environ["RELEASES_DIRECTORY"]) / ".subscription.json.new"
    beside.unlink(missing_ok=True)
    beside.mkdir()
    for hours in (1, 2, 3):
        assert "cannot be written" in str(look(told, NOW + hours * HOUR))
    assert postbox.posted == []
    beside.rmdir()
    look(told, NOW + 4 * HOUR)
    look(told, NOW + 5 * HOUR)
    assert len(postbox.posted) == 1


def test_the_command_shows_a_table(
    told: Bundle, publisher: Publisher, key: Ed25519PrivateKey
) -> None:
    """The list, each part, what to do; a known hole is the exit code. It asks nobody outside."""
    before = show(told)
    assert before.returncode == 0
    assert "not looked up yet" in before.stdout
    assert publisher.requests == 0
    publish(
        publisher,
        key,
        3,
        **{n.replace("-", "_"): p for n, p in SAFE.items()},
        debian=("2020-01-01", None),
    )
    look(told)
    good = show(told)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "list 3 of" in good.stdout
    assert "Synapse 1.163.2: nothing to do" in good.stdout
    assert "cloudflared 2026.8.2: the list does not have it" in good.stdout
    publish(publisher, key, 4, cloudflared=("2026.11.0", "2026.10.2"))
    look(told, NOW + 27 * HOUR)
    bad = show(told, "--json")
    assert bad.returncode == 1
    (row,) = [row for row in json.loads(bad.stdout)["checks"] if not row["ok"]]
    assert (row["name"], row["next_step"]) == ("cloudflared", "Install 2026.11.0.")


def rows(bundle: Bundle) -> dict[str, Any]:
    """Return the two rows of `check`."""
    listed = probes.list_probes(bundle.settings, inside=True)
    chosen = [probe for probe in listed if "releases" in probe.name]
    return {row.name: row for row in runner.run(chosen, bundle.settings)}


def test_check_has_two_rows(told: Bundle, publisher: Publisher, key: Ed25519PrivateKey) -> None:
    """A known hole fails; a list that is not renewed is said, and one that never came fails."""
    assert all(row.ok for row in rows(told).values())
    publisher.content = b"<html>"
    assert look(told)
    found = rows(told)
    assert not found["list of releases"].ok
    assert found["security releases"].ok
    publish(publisher, key, 1, synapse=("1.164.2", "1.164.2"))
    assert look(told, NOW + 27 * HOUR)
    found = rows(told)
    assert (found["list of releases"].ok, found["security releases"].ok) == (True, False)
    assert found["security releases"].next_step == "Install 1.164.2."
    told.homeserver.version = "1.164.2"
    publisher.content = b"<html>"
    look(told, NOW + 54 * HOUR)
    found = rows(told)
    assert all(row.ok for row in found.values())
    assert "was not renewed" in found["list of releases"].detail


def test_without_a_list_nothing_is_asked_or_shown(bundle: Bundle) -> None:
    """One key turns all of it off."""
    keep_informed(bundle.settings)
    assert not (bundle.settings.state_directory / f"{status.UPDATES}.json").exists()
    assert rows(bundle) == {}
    shown = show(bundle)
    assert shown.returncode == 0
    assert "nothing is looked up" in shown.stdout


def test_what_keeps_it_from_its_work_is_its_problem(told: Bundle, publisher: Publisher) -> None:
    """Not a crash, and no request at every round."""
    told.environ["RELEASES_DIRECTORY"] = "/nonexistent"
    assert "cannot be written" in str(look(told))
    assert publisher.requests == 0


def test_the_supervisor_s_process_does_it(told: Bundle, publisher: Publisher) -> None:
    """Started as in the container, it ends well."""
    environ = {**told.environ, "PYTHONPATH": PACKAGE, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "bundle_helper.service", status.UPDATES]
    subprocess.run(command, env=environ, check=True, timeout=60)
    assert publisher.requests == 1
    assert (told.settings.state_directory / f"{status.UPDATES}.json").exists()

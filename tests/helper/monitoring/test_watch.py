"""The watch: what fails is found and dated, reported when it lasts, and no heartbeat is sent meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper import status
from bundle_helper.check import backups, disk_and_heartbeat, probes
from bundle_helper.monitoring import disk, watch
from tests.helper.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle_helper.settings.service_settings import ServiceSettings
    from tests.helper.conftest import Bundle

PACKAGE = str(Path(watch.__file__).parents[2])
NOW = datetime.now(UTC).replace(microsecond=0)
PATIENCE = 120


class Service(Listening):
    """A service on the loopback that is called or posted to; `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__(Calls)
        self.status = 200
        self.called: list[str] = []
        self.posted: list[str] = []


class Calls(BaseHTTPRequestHandler):
    """Notes what comes."""

    server: Service

    def do_GET(self) -> None:
        """Note the target."""
        self.server.called.append(self.path)
        self._answer()

    def do_POST(self) -> None:
        """Note the message, if it is taken."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.posted.append(body["message"])
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def service() -> Iterator[Service]:
    """Run the service as long as it is used."""
    with Service() as running:
        yield running


@pytest.fixture
def watching(bundle: Bundle, service: Service, monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    """Return settings with an address to call and one to send to, where the server is well."""
    monkeypatch.setenv("PYTHONPATH", PACKAGE)
    for name, address in (
        ("notification_urls", f"json://127.0.0.1:{service.port}/hook"),
        ("heartbeat_url", f"http://127.0.0.1:{service.port}/ping/s3cret?from=here"),
    ):
        (bundle.secrets / name).write_text(f"{address}\n")
    bundle.environ["NOTIFICATION_FILE"] = str(bundle.secrets / "notification_urls")
    bundle.environ["HEARTBEAT_FILE"] = str(bundle.secrets / "heartbeat_url")
    settings = bundle.settings
    status = {
        "time": NOW.isoformat(),
        "certificate": {"valid_until": "2099-01-01T00:00:00+00:00", "problem": None},
        "accounts": {"ensured": True, "problem": None},
    }
    (settings.state_directory / "status.json").write_text(json.dumps(status))
    return settings


def look(settings: ServiceSettings, minutes: float = 0) -> tuple[dict[str, Any], list[str]]:
    """Do one round some minutes from now; return what it left and what it logged."""
    told: list[str] = []
    watch.keep_watch(settings, told.append, lambda: NOW + timedelta(minutes=minutes))
    return watch.read_last(settings), told


def test_a_server_that_is_well_is_found_well_and_calls_the_heartbeat(
    watching: ServiceSettings, service: Service
) -> None:
    """No part has a problem, no message is sent, and the whole address was called."""
    found, told = look(watching)
    well = {"problem": None, "since": None}
    assert found == dict.fromkeys(("database", "disk", "apache", "heartbeat"), well)
    assert service.called == ["/ping/s3cret?from=here"]
    assert (service.posted, told) == ([], [])


def test_the_duty_of_that_name_keeps_the_watch(bundle: Bundle) -> None:
    """The process that the supervisor starts leaves what it found; the helper stays healthy."""
    bundle.homeserver.faults.add("no database")
    subprocess.run(
        [sys.executable, "-m", "bundle_helper.service", "watch"],
        env={**bundle.environ, "PYTHONPATH": PACKAGE},
        check=True,
        timeout=PATIENCE,
    )
    found = watch.read_last(bundle.settings)
    assert "M_UNKNOWN" in found["database"]["problem"]
    assert found["apache"]["problem"] is None


def test_what_fails_is_reported_when_it_lasts_and_when_it_is_over(
    watching: ServiceSettings, service: Service, bundle: Bundle
) -> None:
    """Ten minutes are an update; then one message a day while it lasts, and one at its end."""
    bundle.homeserver.faults.add("no database")
    found, _ = look(watching)
    assert found["database"]["since"] == NOW.isoformat()
    assert look(watching, 5)[0]["database"]["since"] == NOW.isoformat()
    assert service.posted == []
    look(watching, 10)
    look(watching, 15)
    [message] = service.posted
    assert message.startswith("matrix.example.org: database: fails since ")
    look(watching, 24 * 60 + 10)
    assert len(service.posted) == 2
    assert service.called == []
    bundle.homeserver.faults.clear()
    look(watching, 24 * 60 + 15)
    look(watching, 24 * 60 + 20)
    assert service.posted[2:] == ["matrix.example.org: database: has recovered"]


def test_notification_that_reached_no_one_is_sent_by_the_next_round(
    watching: ServiceSettings, service: Service, bundle: Bundle
) -> None:
    """Only a message that an address took counts as sent."""
    bundle.homeserver.faults.add("no database")
    look(watching)
    service.status = 500
    _, told = look(watching, 10)
    assert told == ["notification: not sent to any address; the next attempt is soon"]
    service.status = 200
    _, told = look(watching, 15)
    assert told == ["notification: sent"]
    assert len(service.posted) == 1


@pytest.mark.parametrize(
    ("certificate", "hours", "sent"),
    [
        ({"problem": None}, -1, False),
        ({"problem": "no token"}, -1, False),
        ({"problem": "no token"}, 0, True),
        ({"problem": None}, 23, False),
        ({"problem": None}, 24, True),
        ({"problem": None, "failure": NOW + timedelta(hours=2)}, 1, False),
        ({"problem": None, "failure": NOW + timedelta(hours=2)}, 2, True),
        ({"problem": "no token", "failing_since": NOW - timedelta(days=3)}, -48, True),
    ],
)
def test_a_deadline_of_the_certificate_is_reported(
    watching: ServiceSettings,
    service: Service,
    certificate: dict[str, Any],
    hours: int,
    sent: bool,
) -> None:
    """The warning reports a problem, and a day later also that none is known; so does the failure."""
    moments = {"warning": NOW, "failure": NOW + timedelta(days=9)} | certificate
    content = {
        "valid_until": (NOW + timedelta(days=20)).isoformat(),
        "failing_since": None,
        **{k: v.isoformat() if isinstance(v, datetime) else v for k, v in moments.items()},
    }
    (watching.state_directory / "certificate.json").write_text(json.dumps(content))
    look(watching, hours * 60)
    assert bool(service.posted) is sent
    assert all("its certificate ends at" in message for message in service.posted)


def test_a_disk_that_fills_is_found(
    watching: ServiceSettings, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gibibytes on a large disk, a tenth of a small one; `check` says it at once."""
    blocks, free = 0, 0
    real = os.statvfs(watching.certificate.directory)

    def measure(_: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, blocks, free, free, *tuple(real)[5:]))

    monkeypatch.setattr(os, "statvfs", measure)
    gibibyte = 1024**3 // 4096
    for blocks, free, scarce in (  # noqa: B007 (`measure` reads them)
        (1000 * gibibyte, 2 * gibibyte, None),
        (1000 * gibibyte, 2 * gibibyte - 1, "2048 MiB"),
        (10 * gibibyte, gibibyte, None),
        (10 * gibibyte, gibibyte - 1, "1024 MiB"),
    ):
        problem = disk.check_disk(watching)
        assert (scarce or "None") in str(problem)
        assert disk_and_heartbeat.probe_watch(watching).ok is (scarce is None)
    look(watching)
    assert service.called == []


def test_an_apache_that_is_gone_is_found(watching: ServiceSettings) -> None:
    """An address without a listener is reported with its name."""
    found, _ = look(replace(watching, apache_address=("127.0.0.1", 1)))
    assert "apache at 127.0.0.1:1 did not answer" in found["apache"]["problem"]


def test_the_tunnel_is_asked_every_quarter_of_an_hour_and_always_while_it_fails(
    watching: ServiceSettings, service: Service
) -> None:
    """The public name is asked from outside; not of each round, unless it failed."""
    there = replace(watching, outside=True, base_url=f"http://127.0.0.1:{service.port}")

    def ask(minutes: int) -> tuple[Any, int]:
        found, _ = look(replace(there, heartbeat_file=None), minutes)
        calls, service.called = len(service.called), []
        return found["tunnel"]["problem"], calls

    assert [ask(minutes) for minutes in (0, 5, 10, 15)] == [
        *((None, 1), (None, 0), (None, 0), (None, 1))
    ]
    service.status = 530
    problem, calls = ask(30)
    assert (problem.endswith("/_matrix/client/versions answers with 530"), calls) == (True, 1)
    service.status = 200
    assert ask(35) == (None, 1)


def test_a_heartbeat_that_fails_is_reported_without_its_address(
    watching: ServiceSettings, service: Service
) -> None:
    """It says what came instead, in the status and in `check`, and goes on trying."""
    service.status = 404
    found, _ = look(watching)
    assert found["heartbeat"]["problem"] == "the heartbeat address answers with 404"
    finding = disk_and_heartbeat.probe_watch(watching)
    assert "answers with 404" in finding.detail
    assert watching.heartbeat_file
    watching.heartbeat_file.write_text("http://127.0.0.1:1/ping/s3cret\n")
    found, _ = look(watching, 1)
    assert found["heartbeat"]["since"] == NOW.isoformat()
    assert "no answer (Connection refused)" in found["heartbeat"]["problem"]
    assert "s3cret" not in json.dumps(found)


def test_an_unhealthy_helper_calls_no_heartbeat(
    watching: ServiceSettings, service: Service
) -> None:
    """Its own duties are among what must be well."""
    status = json.loads((watching.state_directory / "status.json").read_text())
    status["certificate"]["valid_until"] = "2020-01-01T00:00:00+00:00"
    (watching.state_directory / "status.json").write_text(json.dumps(status))
    look(watching)
    assert service.called == []


def test_a_watch_that_breaks_is_a_row(watching: ServiceSettings) -> None:
    """What would silence every message is seen by `check`."""
    status = {"watch": {"problem": "its process ended with exit code 1"}}
    (watching.state_directory / "status.json").write_text(json.dumps(status))
    assert "exit code 1" in disk_and_heartbeat.probe_watch(watching).detail


def test_no_part_has_the_name_of_a_duty() -> None:
    """The log knows a problem by its name: one name for two would come and go at every look."""
    names = {watch.TUNNEL, watch.HEARTBEAT, watch.COPIES, "database", "disk", "apache"}
    assert names.isdisjoint({status.CERTIFICATE, status.CLAIM, status.ACCOUNTS, status.WATCH})


def report_backups(settings: ServiceSettings, **status: Any) -> ServiceSettings:
    """Leave a report of backups, and return settings with a schedule for them."""
    settings.backup_report_file.parent.mkdir(parents=True, exist_ok=True)
    settings.backup_report_file.write_text(json.dumps(status))
    return replace(settings, backup_at=time(3, 30), backup_drill=timedelta(days=7))


def entry(**ago: float) -> dict[str, str]:
    """Return what a report says of a set or a drill that long ago."""
    return {"set": "20261127-0330-abcd", "time": (NOW - timedelta(**ago)).isoformat()}


@pytest.mark.parametrize(
    ("status", "part", "problem"),
    [
        ({"last_set": entry(hours=47), "last_drill": entry(days=13)}, "backup", None),
        (
            {"last_set": entry(hours=49), "last_drill": entry(days=13)},
            "backup",
            "is overdue: it is",
        ),
        ({"last_set": entry(hours=1), "last_drill": entry(days=13)}, "drill", None),
        ({"last_set": entry(hours=1), "last_drill": entry(days=15)}, "drill", "is overdue: it is"),
        ({"last_set": entry(hours=1), "problem": "the disk is full"}, "backup", "the disk is full"),
        ({"last_set": entry(hours=1), "drill_problem": "one row"}, "drill", "one row"),
        ({"since": entry(hours=47)["time"]}, "backup", None),
        ({"since": entry(hours=49)["time"]}, "backup", "there is none since"),
        ({"since": entry(days=15)["time"]}, "drill", "there is none since"),
        ({}, "backup", None),
    ],
)
def test_a_set_or_a_drill_that_fails_or_is_overdue_is_found(
    watching: ServiceSettings, status: dict[str, Any], part: str, problem: str | None
) -> None:
    """Two periods may pass; the row of `check` says the same as the watch."""
    scheduled = report_backups(watching, **status)
    found, _ = look(scheduled)
    assert {"backup", "drill"} <= found.keys()
    rows = {probe.name: probe.prove(scheduled) for probe in probes.backup_probes(scheduled)}
    assert list(rows) == ["backup", "drill"]
    if problem is None:
        assert found[part]["problem"] is None
        assert rows[part].ok
    else:
        assert problem in found[part]["problem"]
        assert problem in rows[part].detail
        assert not rows[part].ok


def test_a_backup_that_fails_is_reported_once_and_once_when_it_is_well(
    watching: ServiceSettings, service: Service
) -> None:
    """One message while it fails, one when there is a set again."""
    failing = report_backups(watching, last_set=entry(hours=1), problem="the target is full")
    for minutes in (0, 10, 15, 20):
        look(failing, minutes)
    [message] = service.posted
    assert message.startswith("matrix.example.org: backup: fails since ")
    assert message.endswith(": the target is full")
    well = report_backups(watching, last_set=entry(minutes=-20))
    for minutes in (25, 30):
        look(well, minutes)
    assert service.posted[1:] == ["matrix.example.org: backup: has recovered"]


def test_without_a_schedule_backups_are_not_watched(watching: ServiceSettings) -> None:
    """Where sets are made by hand, none is ever overdue; where no drill is scheduled, neither is one."""
    by_hand = replace(report_backups(watching, problem="no"), backup_at=None)
    assert probes.backup_probes(by_hand) == ()
    assert not {"backup", "drill"} & look(by_hand)[0].keys()
    without_drill = replace(report_backups(watching), backup_drill=None)
    assert [probe.name for probe in probes.backup_probes(without_drill)] == ["backup"]
    assert "drill" not in look(without_drill)[0]


def test_a_service_without_a_report_is_found(watching: ServiceSettings) -> None:
    """A service `backup` that never ran leaves none."""
    scheduled = replace(watching, backup_at=time(3, 30))
    assert "there is no report of backups" in look(scheduled)[0]["backup"]["problem"]
    finding = backups.probe_backup(scheduled)
    assert "docker compose logs backup" in finding.next_step

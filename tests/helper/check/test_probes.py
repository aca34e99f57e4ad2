"""Every hop has a proof, and each fault breaks the proof of its own hop alone."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from time import sleep
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bundle_helper import cli, storage
from bundle_helper.accounts import registration
from bundle_helper.certificates import keeper
from bundle_helper.check import probes, runner
from bundle_helper.findings import Finding
from tests.helper.conftest import Bundle, write_authority

REPOSITORY = Path(__file__).parents[3]
PROOF: dict[str, Any] = {
    "role": "synapse_user",
    "privileges": {
        "login": True,
        "superuser": False,
        "createdb": False,
        "createrole": False,
        "replication": False,
        "bypassrls": False,
        "limited": False,
    },
    "memberships": [],
    "members": [],
    "database": "synapse",
    "properties": {
        "encoding": "UTF8",
        "collation": "C",
        "ctype": "C",
        "provider": "libc",
        "owner": "synapse_user",
    },
    "server_version": "17.11",
}
NAMES = [probe.name for probe in probes.PROBES]


def write_status(bundle: Bundle, **accounts: object) -> None:
    """Write the status that the service leaves when all is well, or not."""
    live = keeper.read_live(bundle.settings.certificate, datetime.now(UTC))
    now = datetime.now(UTC)
    storage.write_json(
        bundle.settings.state_directory / "status.json",
        {
            "time": now.isoformat(),
            "certificate": {
                "valid_until": live.valid_until.isoformat(),
                "serial": live.serial,
                "problem": accounts.pop("renewal", None),
            },
            "accounts": {"ensured": True, "problem": None, **accounts},
        },
    )


@pytest.fixture
def running_bundle(bundle: Bundle) -> Bundle:
    """Complete a bundle so that everything holds."""
    registration.ensure_accounts(bundle.settings)
    storage.write_json(
        bundle.settings.database_report_file,
        {"time": "2026-01-01T00:00:00+00:00", "proof": PROOF, "problem": None},
    )
    write_status(bundle)
    return bundle


def check(bundle: Bundle, *arguments: str) -> Result:
    """Run the command as a person does through a pipe."""
    outcome = CliRunner().invoke(cli.main, ["check", *arguments], env=bundle.environ)
    assert "Traceback" not in outcome.output
    assert not [secret for secret in bundle.secret_values if secret in outcome.output]
    assert not [token for token in bundle.homeserver.tokens if token in outcome.output]
    return outcome


def broken(bundle: Bundle) -> dict[str, dict[str, str]]:
    """Return the failed rows by name, after checking what every row must have."""
    outcome = check(bundle, "--json")
    content = json.loads(outcome.output)
    assert [row["name"] for row in content["checks"]] == NAMES
    failed = {row["name"]: row for row in content["checks"] if not row["ok"]}
    assert all(row["cause"] and row["next_step"] and row["detail"] for row in failed.values())
    assert content["ok"] is (not failed)
    assert outcome.exit_code == bool(failed)
    return failed


def test_a_sound_bundle_passes_everything(running_bundle: Bundle) -> None:
    """With every hop in order the exit code is 0, in JSON and in lines."""
    assert broken(running_bundle) == {}
    outcome = check(running_bundle)
    assert outcome.exit_code == 0
    assert outcome.output.endswith(f"all {len(NAMES)} checks hold\n")


@pytest.mark.parametrize(
    ("fault", "rows"),
    [
        ("no database", {"Synapse reaches its database", "encoded paths arrive intact"}),
        ("canonical", {"encoded paths arrive intact"}),
        ("merges", {"encoded paths arrive intact"}),
        ("decodes", {"encoded paths arrive intact"}),
        ("believes X-Forwarded-For", {"forged client address ignored"}),
        ("believes Forwarded", {"forged client address ignored"}),
        ("believes CF-Connecting-IP", {"forged client address ignored"}),
        ("rate limit", {"forged client address ignored"}),
        ("open", {"admin API closed through Apache"}),
        ("no limit", {"oversized upload refused"}),
        (
            "no CORS",
            {
                "oversized upload refused",
                "well-known client",
                "well-known server",
                "well-known support",
            },
        ),
        ("no OPTIONS", {"well-known client", "well-known server", "well-known support"}),
        ("wrong client", {"well-known client"}),
        ("wrong server", {"well-known server"}),
        ("no support", {"well-known support"}),
        ("plain support", set()),
        ("other name", {"signing key served"}),
        ("other key", {"signing key served"}),
        ("expired keys", {"signing key served"}),
        ("forged keys", {"signing key served"}),
    ],
)
def test_a_fault_breaks_its_own_row(running_bundle: Bundle, fault: str, rows: set[str]) -> None:
    """Each fault is found, with cause and next step, and blamed on nothing else."""
    running_bundle.homeserver.faults.add(fault)
    assert set(broken(running_bundle)) == rows


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("privileges", {"superuser": True}),
        ("privileges", {"createdb": True}),
        ("privileges", {"login": False}),
        ("properties", {"collation": "en_US.utf8"}),
        ("properties", {"ctype": "C.UTF-8"}),
        ("properties", {"encoding": "SQL_ASCII"}),
        ("properties", {"owner": "postgres"}),
    ],
)
def test_a_wrong_database_is_reported(
    running_bundle: Bundle, part: str, change: dict[str, object]
) -> None:
    """The proof of bootstrap is read, not merely found."""
    proof = {**PROOF, part: {**PROOF[part], **change}}
    storage.write_json(running_bundle.settings.database_report_file, {"time": "t", "proof": proof})
    assert set(broken(running_bundle)) == {"database role, locale and owner"}


def test_a_role_in_another_role_is_reported(running_bundle: Bundle) -> None:
    """Who is in pg_read_server_files reads the server's files: that is not the least."""
    proof = {**PROOF, "memberships": ["pg_read_server_files"]}
    storage.write_json(running_bundle.settings.database_report_file, {"time": "t", "proof": proof})
    (row,) = broken(running_bundle).values()
    assert "act as pg_read_server_files" in row["cause"]


def test_a_failed_bootstrap_shows_its_own_reason(running_bundle: Bundle) -> None:
    """What bootstrap could not do is the cause in the table."""
    storage.write_json(
        running_bundle.settings.database_report_file,
        {"time": "t", "proof": None, "problem": "the database synapse exists and is wrong"},
    )
    (row,) = broken(running_bundle).values()
    assert row["cause"] == "the database synapse exists and is wrong"


def test_an_administrator_that_is_not_made_yet_is_reported(running_bundle: Bundle) -> None:
    """The service's own reason is the cause."""
    write_status(running_bundle, ensured=False, problem="Synapse refused the account alice")
    (row,) = broken(running_bundle).values()
    assert row["name"] == "first administrator exists"
    assert row["cause"] == "Synapse refused the account alice"


def test_a_renewal_that_fails_is_reported_while_the_certificate_is_valid(
    running_bundle: Bundle,
) -> None:
    """Two months of warning are better than none."""
    write_status(running_bundle, renewal="the key of the authority is gone")
    (row,) = broken(running_bundle).values()
    assert row["cause"] == "the key of the authority is gone"


def test_a_certificate_that_apache_has_not_loaded_is_reported(running_bundle: Bundle) -> None:
    """A new certificate on the volume and an old one on the wire do not pass."""
    settings = running_bundle.settings
    (settings.certificate.directory / "live.pem").unlink()
    keeper.ensure_own(settings.certificate, datetime.now(UTC), lambda _: None)
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(settings.certificate.directory / "live.pem", (long_ago, long_ago))
    assert set(broken(running_bundle)) == {"certificate served is the live one"}


def test_the_check_waits_while_apache_may_still_reload(running_bundle: Bundle) -> None:
    """Right after a renewal the old certificate on the wire is not a fault yet."""
    settings = running_bundle.settings
    (settings.certificate.directory / "live.pem").unlink()
    keeper.ensure_own(settings.certificate, datetime.now(UTC), lambda _: None)
    reload = Timer(0.3, running_bundle.homeserver.load_certificate)
    reload.start()
    assert broken(running_bundle) == {}
    reload.join()


def test_a_certificate_of_a_stranger_is_refused_on_every_hop(
    running_bundle: Bundle, secrets_directory: Path
) -> None:
    """With another authority nothing goes through the front door, least of all the token."""
    write_authority(secrets_directory)
    assert "certificate: name, chain, days" in broken(running_bundle)
    assert running_bundle.homeserver.last_seen_ip == ""


def test_a_dead_front_door_gives_rows_and_no_traceback(running_bundle: Bundle) -> None:
    """Everything behind Apache fails with its address; what does not need it still holds."""
    running_bundle.environ["APACHE_ADDRESS"] = "127.0.0.1:1"
    failed = broken(running_bundle)
    assert len(failed) == len(NAMES) - 5
    assert all("127.0.0.1:1" in row["detail"] for row in failed.values())
    assert all("logs apache" in row["next_step"] for row in failed.values())


def test_a_synapse_that_apache_does_not_reach_is_not_blamed_on_apache(
    running_bundle: Bundle,
) -> None:
    """An answer of 503 proves nothing about paths, addresses or keys, and the rows say so."""
    running_bundle.homeserver.faults.add("unreached")
    failed = broken(running_bundle)
    assert set(failed) == {
        "encoded paths arrive intact",
        "forged client address ignored",
        "admin API closed through Apache",
        "signing key served",
    }
    assert {row["detail"] for row in failed.values()} == {
        "apache answers 503: it does not reach synapse"
    }


def test_repeated_checks_sign_in_once(running_bundle: Bundle) -> None:
    """Synapse allows few sign-ins, so the token is kept, for its owner alone."""
    for _ in range(3):
        assert broken(running_bundle) == {}
    kept = running_bundle.settings.state_directory / "check.token"
    assert running_bundle.homeserver.logins == 1
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_token_that_has_ended_is_replaced(running_bundle: Bundle) -> None:
    """After a sign-out from elsewhere the next check signs in again."""
    assert broken(running_bundle) == {}
    running_bundle.homeserver.tokens.clear()
    assert broken(running_bundle) == {}
    assert running_bundle.homeserver.logins == 2


def test_a_person_on_a_pipe_gets_plain_lines(running_bundle: Bundle) -> None:
    """Without a terminal there is neither colour nor box, and each failure has two more lines."""
    running_bundle.homeserver.faults.add("wrong server")
    outcome = check(running_bundle)
    lines = outcome.output.splitlines()
    assert outcome.output.isascii()
    assert "\x1b" not in outcome.output
    at = next(number for number, line in enumerate(lines) if line.startswith("FAILED"))
    assert "it says x:1 instead of matrix.example.org:443" in lines[at]
    assert lines[at + 1].strip().startswith("cause: ")
    assert lines[at + 2].strip().startswith("next: ")
    assert lines[-1] == f"1 of {len(NAMES)} checks failed"


def test_a_person_at_a_terminal_gets_a_table(running_bundle: Bundle) -> None:
    """On a terminal the same rows come as a table."""
    leader, follower = pty.openpty()
    environ = {
        **running_bundle.environ,
        "PYTHONPATH": str(REPOSITORY / "images" / "helper"),
        "TERM": "xterm",
        "COLUMNS": "120",
        "PYTHONUTF8": "1",
    }
    command = [sys.executable, "-c", "from bundle_helper.cli import check; check()"]
    process = subprocess.Popen(command, env=environ, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 65536):
            shown += piece
    except OSError:
        pass  # Linux tells the end of a terminal by EIO.
    os.close(leader)
    assert process.wait(timeout=10) == 0
    assert "──" in shown.decode()
    assert all(name in shown.decode() for name in NAMES)


def test_a_probe_that_meets_nonsense_or_hangs_is_a_failed_row(running_bundle: Bundle) -> None:
    """Neither an unexpected answer nor an endless one costs the other rows."""

    def meets_nonsense(_: object) -> Finding:
        raise KeyError("surprise")

    def hangs(_: object) -> Finding:
        sleep(5)
        return Finding(ok=True, detail="too late")

    results = runner.run(
        (
            runner.Probe("nonsense", meets_nonsense),
            runner.Probe("hanging", hangs),
            runner.Probe("good", lambda _: Finding(ok=True, detail="yes")),
        ),
        running_bundle.settings,
        patience=0.5,
    )
    assert [(result.name, result.ok) for result in results] == [
        ("nonsense", False),
        ("hanging", False),
        ("good", True),
    ]
    assert "KeyError" in results[0].detail
    assert "surprise" not in results[0].detail


def test_an_incomplete_environment_is_a_usage_error() -> None:
    """Without its environment the check exits with 2 and a list, not with a table."""
    outcome = CliRunner().invoke(cli.main, ["check"], env={"PATH": "/bin"})
    assert outcome.exit_code == 2
    assert "SERVER_NAME is missing" in outcome.output


def test_a_placeholder_is_reported_as_what_it_is(running_bundle: Bundle) -> None:
    """Where another issuer is wanted, a certificate of the own authority is not passed off as its."""
    running_bundle.environ["CERTIFICATE_ISSUER"] = "files"
    running_bundle.environ["CERTIFICATE_FILE"] = "/files/certificate/fullchain.pem"
    running_bundle.environ["CERTIFICATE_KEY_FILE"] = "/files/key/privkey.pem"
    write_status(running_bundle, renewal="/files/key/privkey.pem cannot be read")
    row = broken(running_bundle)["certificate is the issuer's own"]
    assert "a placeholder of the bundle's own authority is served" in row["detail"]
    assert row["cause"] == "/files/key/privkey.pem cannot be read"


@pytest.mark.parametrize(
    ("days", "told", "good"),
    [
        (3, "synapse:v1 3 days ago", True),
        (61, "older than 60", True),
        (366, "366 days", False),
    ],
)
def test_the_age_of_every_image_is_reported(
    running_bundle: Bundle, days: int, told: str, *, good: bool
) -> None:
    """Own images by their packages, others by their pins: a warning first, a fault after a year."""
    day = datetime.now(UTC).date() - timedelta(days=days)
    running_bundle.environ["IMAGE_PINS"] = f"synapse:v1={day}"
    running_bundle.homeserver.packages = datetime.now(UTC) - timedelta(days=2, hours=1)
    rows = {r["name"]: r for r in json.loads(check(running_bundle, "--json").output)["checks"]}
    row = rows["age of the images"]
    assert row["ok"] is good
    assert told in row["detail"]
    assert "packages: helper 0 days ago, apache 2 days ago; tags: " in row["detail"]
    update = "`docker compose --profile tools build --pull --no-cache`"
    assert update in row["detail"] + row["next_step"] or days < 60


def test_an_old_image_of_our_own_is_reported(running_bundle: Bundle, packages: Path) -> None:
    """What counts is when its packages were brought up to date; an unknown age is not a fault."""
    for days, good in ((100, True), (400, False)):
        age = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(packages, (age, age))
        assert ("age of the images" not in broken(running_bundle)) is good
    assert "apache at an unknown time" in check(running_bundle).output

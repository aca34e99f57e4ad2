"""`synapse-bundle retire`: what it refuses and keeps, and that any kill is finished by the same command."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest

from tests.cloudflare.command_line import SETTINGS, Shell, serve
from tests.cloudflare.simulation import simulate
from tests.generator import runs
from tests.generator.retiring import STEPS, Home, make_home
from tests.generator.runs import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A directory to run in, again and again."""
    with runs.start(tmp_path) as runner:
        yield runner


@pytest.fixture
def home(runner: Runner) -> Home:
    """A server that runs, with workers and a timetable of backups."""
    return make_home(runner, 'workers: small\nbackup: {at: "03:30"}\n')


def require_retired(home: Home) -> None:
    """Assert that nothing of a server is left but its volumes, and its newest set is whole."""
    assert home.read("accounts") == "gone"
    assert home.has("told")
    assert not home.has("running")
    # Made while nobody could write, and before any account was closed.
    newest = home.read("sets").splitlines()[-1]
    assert newest.endswith("-people-closed")
    assert home.read("fence") == home.read_record()["set"] == newest
    assert home.read_record()["stage"] == "DONE"


def test_a_server_ends_in_order(home: Home) -> None:
    """The whole of it: what is asked of Docker, what is said, and that a second run has nothing to do."""
    done = home.finish()
    assert done.code == 0, done.output
    require_retired(home)
    inside = "bootstrap helper postgres synapse synapse-generic"
    assert home.list_calls() == [
        "exec --no-TTY helper user list",
        "run --rm --no-TTY backup now",
        "stop apache backup",
        "run --rm --no-TTY backup now",
        "run --rm --no-TTY backup list",
        f"up --detach --wait {inside}",
        "exec --no-TTY helper retire close",
        f"up --detach apache {inside}",
        "exec --no-TTY helper retire deliver",
        "run --rm --no-TTY backup retire 2-people-closed",
        "down --remove-orphans",
    ]
    assert "2: @anna:localhost, @ben/x:localhost; they sign in nowhere" in done.output
    assert "nobody was told" in done.output
    assert "Its last set is 2-people-closed in ./backups" in done.output
    assert "cd bundle && docker compose down --volumes" in done.output
    again = home.finish()
    assert (again.code, len(home.list_calls())) == (0, 11)
    assert "retired already; its last set: 2-people-closed" in again.output


def test_a_retired_bundle_is_neither_written_nor_started(home: Home) -> None:
    """`generate`, `up` and `rotate` say why, and the way back; with restored data they work again."""
    home.finish()
    calls = len(home.list_calls())
    before = runs.read_tree(home.bundle)
    for words in (
        ["generate"],
        ["generate", "--force"],
        ["up"],
        ["rotate", "form_secret", "--yes"],
    ):
        refused = home.run(*words)
        assert refused.code == 1, refused.output
        assert "this server was retired, and nothing was written" in refused.output
        assert "docker compose run --rm restore 2-people-closed" in refused.output
    assert home.run("retire", "announce", "--on", "2999-01-01").code == 2
    assert (runs.read_tree(home.bundle), len(home.list_calls())) == (before, calls)
    # What restore does: the folder belongs to other data.
    (home.bundle / "secrets" / "instance").write_text("0" * 32 + "\n")
    assert home.run("generate").code == 0


def test_a_kill_before_any_step_is_finished_by_the_same_command(home: Home) -> None:
    """Until accounts are closed the server can simply be started; after that only the end is left."""
    for number in itertools.count():
        home.reset()
        killed = home.finish(before_step=number, steps_of=STEPS).killed
        if not killed:
            break
        begun = home.has_begun()
        assert home.read("accounts") == "people" or begun
        written = home.run("generate")
        assert (written.code != 0) == begun, written.output
        assert not begun or "synapse-bundle retire finish" in written.output
        done = home.finish()
        assert done.code == 0, done.output
        require_retired(home)
    assert number == 9


def test_a_kill_after_anything_docker_did_is_finished_by_the_same_command(home: Home) -> None:
    """The same with the program killed in the middle of a step, exports included."""
    place = home.runner.directory / "exports"
    for deadly in itertools.count(1):
        home.reset(deadly=deadly)
        done = home.finish("--export", str(place))
        (home.state / "deadly").write_text("0")
        if not done.killed:
            assert done.code == 0, done.output
            break
        done = home.finish("--export", str(place))
        assert done.code == 0, done.output
        require_retired(home)
    assert deadly > 13


def test_a_failure_before_accounts_are_closed_opens_the_server_again(home: Home) -> None:
    """What fails first changes nothing; afterwards the message says how to go on."""
    for broken in ("backup list", "stop apache"):
        home.reset()
        (home.state / "fails").write_text(broken)
        done = home.finish()
        assert done.code == 1, done.output
        assert "docker says no" in done.output
        assert "The server runs on as before." in done.output
        assert home.has("running")
        assert home.has("door")
        assert home.read("accounts") == "people"
        assert home.run("generate").code == 0
    for broken in ("retire close", "retire deliver", "backup retire", "down"):
        home.reset()
        (home.state / "fails").write_text(broken)
        done = home.finish()
        assert done.code == 1, done.output
        assert "To go on: synapse-bundle retire finish" in done.output
        (home.state / "fails").unlink()
        assert home.finish().code == 0
        require_retired(home)


def test_what_each_user_has_is_theirs_alone(home: Home) -> None:
    """One archive for each user, for the operator to read, in a directory of the server."""
    done = home.finish("--export", "out")
    assert done.code == 0, done.output
    place = home.runner.directory / "out" / "localhost"
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "anna.tar": "all of @anna:localhost\n",
        "ben%2Fx.tar": "all of @ben/x:localhost\n",
    }
    assert {S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}
    require_retired(home)


def test_an_export_that_fails_leaves_no_half_of_one(home: Home) -> None:
    """The server runs on, and what is there under its name is whole."""
    (home.state / "fails").write_text("@ben")
    done = home.finish("--export", "out")
    assert done.code == 1
    assert "The server runs on as before." in done.output
    place = home.runner.directory / "out" / "localhost"
    assert {path.name for path in place.glob("*.tar")} == {"anna.tar"}
    (home.runner.directory / "file").touch()
    refused = home.finish("--export", "file")
    assert "cannot be made: Not a directory; nothing was changed" in refused.output


def test_without_a_set_none_is_made(home: Home) -> None:
    """Whoever wants none has to say so, and is told that there is no way back."""
    assert home.finish("--without-set").code == 0
    assert not [call for call in home.list_calls() if "backup now" in call]
    assert home.read("fence") == ""
    assert home.read_record()["set"] == ""
    assert "There is no last set of it" in home.run("generate").output


def test_an_external_database_has_no_set(runner: Runner) -> None:
    """It is refused until the operator says that it is backed up elsewhere."""
    runner.directory.joinpath("password").write_text("secret-of-the-database\n")
    home = make_home(
        runner,
        "server_name: example.org\nemail: you@example.org\ncertificates: own-authority\n"
        "database: {host: db.example.net, password: password, sslmode: require}\n",
    )
    (home.state / "services").write_text("bootstrap\nsynapse\nhelper\napache\n")
    words = ("retire", "finish", "--confirm", "example.org")
    refused = home.run(*words)
    assert refused.code == 2
    assert "pass --without-set" in refused.output
    assert home.run(*words, "--without-set").code == 0
    assert home.read("accounts") == "gone"
    assert not [call for call in home.list_calls() if "backup" in call]


def test_everyone_is_told_the_day_and_it_holds(home: Home) -> None:
    """A day is announced, changed, and waited for; a server that goes on is no longer bound to it."""
    later = date.today() + timedelta(days=60)  # noqa: DTZ011  # as the operator's clock says
    done = home.run("retire", "announce", "--on", str(later))
    assert done.code == 0, done.output
    said = home.read("announced")
    assert f"retire announce localhost ends on {later}" in said
    assert f"will be shut down on {later:%A}, {later.day} {later:%B %Y}" in said
    refused = home.finish()
    assert refused.code == 2
    assert f"runs until {later}; nothing was changed" in refused.output
    assert home.run("generate").code == 0
    (home.runner.directory / "words").write_text("Liebe Leute, es ist soweit.\n")
    today = str(date.today())  # noqa: DTZ011
    assert home.run("retire", "announce", "--on", today, "--text", "words").code == 0
    assert home.read("announced").splitlines()[-1] == "Liebe Leute, es ist soweit."
    assert home.run("retire", "announce", "--withdraw").code == 0
    assert "will not be shut down" in home.read("announced")
    assert not (home.bundle / ".retirement.json").exists()
    home.run("retire", "announce", "--on", today)
    assert f"that it ends on {today}" in home.finish().output
    require_retired(home)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["announce"], "Pass either --on DATE"),
        (["announce", "--on", "2999-01-01", "--withdraw"], "Pass either --on DATE"),
        (["announce", "--on", "2020-01-01"], "2020-01-01 is over"),
        (["announce", "--on", "tomorrow"], "Invalid value for '--on'"),
        (["announce", "--on", "2999-01-01", "--text", "no"], "no: No such file"),
        (["finish"], "Pass --confirm with the name of the server"),
    ],
)
def test_what_is_not_meant_changes_nothing(home: Home, words: list[str], complaint: str) -> None:
    """A mistake is named, and Docker is asked for nothing."""
    refused = home.run("retire", *words)
    assert refused.code == 2
    assert complaint in refused.output
    assert home.list_calls() == []
    assert not (home.bundle / ".retirement.json").exists()


def test_a_server_that_is_stopped_is_started_to_be_retired(home: Home) -> None:
    """Others have to be told, and the set made, by a server that runs."""
    home.run("retire", "finish", "--confirm", "no")
    (home.state / "running").unlink()
    assert home.finish().code == 0
    assert home.list_calls()[0] == "up --detach --wait --remove-orphans"
    require_retired(home)


def test_what_never_ran_here_is_not_started(home: Home) -> None:
    """A folder for a cluster would start an empty server, and end that in the place of the real one."""
    (home.bundle / "secrets" / "instance").write_text("")
    (home.state / "running").unlink()
    refused = home.finish()
    assert (refused.code, home.list_calls()) == (1, [])
    assert "never ran on this machine" in refused.output


def test_another_name_or_a_stopped_server_changes_nothing(home: Home) -> None:
    """The name has to be this server's; where it does not run, nobody can be told."""
    refused = home.run("retire", "finish", "--confirm", "example.org")
    assert (refused.code, home.list_calls()) == (1, [])
    assert "Aborted; nothing was changed." in refused.output
    (home.state / "running").unlink()
    refused = home.run("retire", "announce", "--on", "2999-01-01")
    assert (refused.code, home.list_calls()) == (1, [])
    assert "Start it: docker compose up -d" in refused.output
    (home.bundle / ".retirement.json").write_text("{}")
    assert ".retirement.json cannot be read" in home.finish().output


@pytest.fixture
def cloudflare(runner: Runner) -> Iterator[tuple[Shell, Home, Any]]:
    """A server behind Cloudflare, which is played too, and what was there before."""
    home = make_home(runner, SETTINGS, written=False)
    simulation = simulate()
    before = simulation.store.snapshot()
    with serve(simulation, runner.directory) as shell:
        shell.environment = {"PATH": f"{home.state / 'bin'}:/usr/bin:/bin"}
        assert shell.cloudflare("apply", "--yes").code == 0
        home.reset()
        yield shell, home, before
    assert simulation.fake.violations == []


def test_what_is_at_cloudflare_goes_last(cloudflare: tuple[Shell, Home, Any]) -> None:
    """It is listed, and removed when nothing runs; a failure there is finished by the same command."""
    shell, home, before = cloudflare
    words = ("retire", "finish", "--confirm", "example.org")
    refused = shell.run(*words, CLOUDFLARE_API_TOKEN=None)
    assert refused.code == 2
    assert "There is no token" in refused.text
    assert home.list_calls() == []
    (home.state / "fails").write_text("down")
    done = shell.run(*words)
    assert done.code == 1
    assert "Cloudflare   delete   tunnel" in done.output
    assert (home.bundle / ".cloudflare.json").exists()
    (home.state / "fails").unlink()
    done = shell.run(*words)
    assert done.code == 0, done.text
    assert not (home.bundle / ".cloudflare.json").exists()
    assert shell.simulation.store.snapshot() == before
    require_retired(home)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [("exampel.org", "", 1), ("localhost", "y", 1), ("localhost", "localhost", 0)],
)
def test_the_name_is_typed_twice(home: Home, first: str, second: str, code: int) -> None:
    """At a terminal: once to see what goes, and once more below that."""
    shell = Shell(simulation=simulate(), directory=home.runner.directory, port=0)
    shell.environment = {"PATH": f"{home.state / 'bin'}:/usr/bin:/bin"}
    answers = {"to see what goes: ": first} | ({"once more to begin: ": second} if second else {})
    done = shell.type("retire", "finish", answers=answers)
    assert done.code == code, done.output
    assert ("their volumes stay" in done.output) is bool(second)
    if code:
        assert home.read("accounts") == "people"
        assert not [call for call in home.list_calls() if "user list" not in call]
    else:
        require_retired(home)


def test_the_record_tells_nothing_of_the_datas_id(home: Home) -> None:
    """The folder's id is a secret; anybody may read the record, which has a hash of it."""
    identity = "0123456789abcdef" * 2
    (home.bundle / "secrets" / "instance").write_text(f"{identity}\n")
    home.run("retire", "announce", "--on", "2999-01-01")
    text = (home.bundle / ".retirement.json").read_text()
    assert identity not in text
    assert "2999-01-01" in text
    assert "runs until 2999-01-01" in home.finish().output

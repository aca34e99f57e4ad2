"""`synapse-bundle rotate`: what it writes and asks for, and that any kill leaves old or new values."""

from __future__ import annotations

import itertools
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest
import yaml

from synapse_bundle.credentials import signing_keys
from synapse_bundle.rotation.restarts import list_restarts
from synapse_bundle.rotation.rotatable import ROTATABLE
from tests.cloudflare.command_line import read_terminal
from tests.generator import runs
from tests.generator.rotating import Place, make_place, read_journal
from tests.generator.runs import CHANGES, Runner
from tests.support.processes import run

WORKERS = "workers: small\nadmin: alice\n"
BACKUP = "run --rm --no-deps --no-TTY backup password"
UP = "up --detach --wait --remove-orphans"
ASIDE = {"old_signing_keys", "authority.pem", "synapse.yaml", "valkey.conf", "instance"}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A directory to run in, again and again."""
    with runs.start(tmp_path) as runner:
        yield runner


@pytest.fixture
def place(runner: Runner) -> Place:
    """A bundle with workers, so that it has every secret."""
    return make_place(runner, WORKERS)


def test_one_secret_is_replaced_and_no_other(place: Place) -> None:
    """A new value is in its file and where it is derived; every other secret is as it was."""
    after = place.read_secrets()
    for name in ROTATABLE:
        before = after
        place.rotate(name)
        after = place.read_secrets()
        assert after[name] != before[name]
        kept = before.keys() - ASIDE - {name}
        assert {each: after[each] for each in kept} == {each: before[each] for each in kept}
        old = before[name].strip()
        # What was is nowhere, but for the key that other servers still know.
        left = {each for each, text in after.items() if old in text}
        assert left == ({f"signing.key.{old.split()[1]}"} if name == "signing.key" else set())
        assert not place.journal.exists()
    said = place.run("generate").output
    assert "bundle: " in said
    assert " identical\n" in said
    assert place.read_secrets() == after


def test_the_same_restart_serves_all_of_them(place: Place) -> None:
    """Every secret at once: the new password is admitted first, the old one dismissed at the end."""
    before = place.read_secrets()
    said = place.rotate(*ROTATABLE)
    calls = place.list_calls()
    assert calls == [
        f"{BACKUP} admit",
        UP,
        "exec --no-TTY helper user password synapse-bundle-check",
        "exec --no-TTY helper user password alice --initial",
        f"{BACKUP} dismiss",
    ]
    after = place.read_secrets()
    assert [name for name in ROTATABLE if before[name] == after[name]] == []
    opens = (place.state / "opens").read_text()
    assert opens == after["backup_password"]
    # Nothing that was asked, and nothing that was printed, holds a secret.
    for text in (*before.values(), *after.values()):
        assert not text.strip() or text.strip() not in said + "\n".join(calls)


def test_the_old_signing_key_expires_after_the_restart(place: Place) -> None:
    """The old key is kept whole, and published as expired a little later than it signs."""
    old, began = place.secret("signing.key"), time.time()
    identity, public = signing_keys.derive_verify_key(old).split()
    place.rotate("signing.key")
    second = signing_keys.derive_verify_key(place.secret("signing.key")).split()
    place.start(running=False)
    place.rotate("signing.key")
    ended = time.time()
    assert place.secret(f"signing.key.{old.split()[1]}") == old
    published = yaml.safe_load(place.secret("synapse.yaml"))["old_signing_keys"]
    assert list(published) == [identity, second[0]]
    assert published[identity]["key"] == public
    assert began + 600 <= published[identity]["expired_ts"] / 1000 + 1 <= ended + 601
    services = yaml.safe_load((place.bundle / "compose.yaml").read_text())["services"]
    listed = services["restore"]["environment"]["OLD_VERIFY_KEYS"]
    assert listed == f"{identity} {public}, {' '.join(second)}"
    # Nothing signs with the second one any more.
    assert began <= published[second[0]]["expired_ts"] / 1000 + 1 <= ended + 1


def test_the_operators_own_list_of_old_keys_is_taken_over(place: Place) -> None:
    """What homeserver.override.yaml publishes is published on; what is malformed changes nothing."""
    override = place.bundle / "synapse" / "homeserver.override.yaml"
    former = signing_keys.derive_verify_key(signing_keys.make()).split()
    override.write_text("old_signing_keys: [a]\n")
    said = place.refuse("signing.key", code=2)
    assert "homeserver.override.yaml: old_signing_keys is not of the form" in said
    assert not place.journal.exists()
    override.write_text(
        f"old_signing_keys: {{'{former[0]}': {{key: {former[1]}, expired_ts: 5}}}}\n"
    )
    place.rotate("signing.key")
    published = yaml.safe_load(place.secret("synapse.yaml"))["old_signing_keys"]
    assert published[former[0]] == {"key": former[1], "expired_ts": 5}
    assert len(published) == 2


@pytest.mark.parametrize(
    ("names", "steps"),
    [(["synapse_database_password"], 3), (["signing.key"], 3), (list(ROTATABLE), 7)],
    ids=["a password", "the signing key", "everything"],
)
def test_a_kill_before_any_step_is_finished_by_the_same_command(
    place: Place, names: list[str], steps: int
) -> None:
    """Killed before each step: the old values or the new ones stand, and it ends as it began.

    No secret is made twice, and the backups always open with the password that is in the file.
    """
    for number in range(steps + 1):
        before = place.read_secrets()
        assert place.cut_off(number, *names)
        between = place.read_secrets()
        assert {between[name] == before[name] for name in names} in ({True}, {False})
        assert place.secret("backup_password") in (place.state / "opens").read_text().split()
        assert place.journal.exists() == bool(number)
        new = read_journal(place)["new"] if number else {}
        assert not number or S_IMODE(place.journal.stat().st_mode) == 0o600
        place.list_calls()
        place.rotate(*reversed(names))
        assert UP in place.list_calls()
        assert {name: place.secret(name) for name in new} == new
        assert [name for name in names if place.secret(name) == before[name].strip()] == []
        assert not place.journal.exists()
        assert (place.state / "opens").read_text().strip() == place.secret("backup_password")
    assert not place.cut_off(steps + 1, *names)


def test_no_other_rotation_begins_before_one_that_was_cut_off(place: Place) -> None:
    """It is named, with what to type; nothing changes."""
    assert place.cut_off(2, "form_secret", "signing.key")
    before = place.read_secrets()
    command = "synapse-bundle rotate form_secret signing.key"
    assert f"Finish it first: {command}" in place.refuse("form_secret", code=2)
    assert f"finish it: {command}\n" in place.run("rotate").output
    assert place.read_secrets() == before
    assert "what follows finishes it" in place.rotate("signing.key", "form_secret")


def test_a_damaged_journal_is_named(place: Place) -> None:
    """An edit by hand is no reason to guess."""
    place.journal.write_text("{}")
    assert ".rotation.json is damaged; delete it" in place.refuse("form_secret", code=1)


def test_an_engine_that_fails_leaves_what_can_be_finished(place: Place) -> None:
    """Before anything is written a failure ends the rotation; after that the message says how to go on."""
    (place.state / "fails").touch()
    before = place.read_secrets()
    said = place.refuse("backup_password", "form_secret", code=1)
    assert "docker says no" in said
    assert "Nothing was changed." in said
    assert place.read_secrets() == before
    assert not place.journal.exists()
    said = place.refuse("form_secret", code=1)
    assert "To finish the rotation: synapse-bundle rotate form_secret" in said
    new = place.secret("form_secret")
    (place.state / "fails").unlink()
    place.rotate("form_secret")
    assert place.secret("form_secret") == new
    assert not place.journal.exists()


def test_without_running_containers_only_files_change(place: Place) -> None:
    """Nothing is started; what the server has to hold too is finished when it runs."""
    place.start(running=False)
    said = place.rotate("synapse_database_password")
    assert "only files change" in said
    assert "docker compose up -d" in said
    assert place.list_calls() == []
    said = place.rotate("registration_shared_secret")
    assert "Then, while it runs, finish the rotation: synapse-bundle rotate registration" in said
    new = place.secret("registration_shared_secret")
    place.start(running=True)
    place.rotate("registration_shared_secret")
    assert place.secret("registration_shared_secret") == new
    assert place.list_calls()[-1].endswith("user password synapse-bundle-check")
    assert not place.journal.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("authority.pem", "rotate authority.key"),
        ("dns_token", "delete secrets/dns_token, then synapse-bundle cloudflare apply"),
        ("tunnel.json", "synapse-bundle cloudflare destroy"),
        ("instance", "is not a secret"),
        ("heartbeat_url", "the file that heartbeat in settings.yaml names"),
        ("releases.signed", "the file that updates.list in settings.yaml names"),
        ("synapse.yaml", "is written from other secrets"),
        ("../settings.yaml", "is not a secret of the bundle; use one of"),
    ],
)
def test_what_is_not_replaced_here_says_where(place: Place, name: str, words: str) -> None:
    """Each other file of secrets/ has its own advice, and nothing changes, of the good name either."""
    before = place.read_secrets()
    said = place.refuse("form_secret", name, code=2)
    assert f"{name}: " in said
    assert words in said
    assert place.read_secrets() == before


def test_a_bundle_without_workers_has_no_secrets_of_theirs(runner: Runner) -> None:
    """They are neither listed nor made."""
    place = make_place(runner)
    assert "valkey_password" not in place.run("rotate").output
    assert "because it has no workers" in place.refuse("valkey_password", code=2)


def test_the_list_has_age_restarts_and_cost(place: Place) -> None:
    """Without a name every secret is listed, and nothing changes."""
    before = place.read_secrets()
    said = place.run("rotate").output
    lines = said.splitlines()
    for secret in ROTATABLE.values():
        number = next(n for n, line in enumerate(lines) if line.startswith(secret.name))
        assert lines[number].endswith(secret.cost)
        assert " 0 d " in lines[number]
    processes = {"synapse", "synapse-generic", "synapse-federation-sender"}
    for name, others in (("valkey_password", {"valkey"}), ("worker_replication_secret", set())):
        restarted = lines[next(n for n, line in enumerate(lines) if line.startswith(name)) + 1]
        assert processes | others <= set(restarted.split("restarts ")[1].split(", "))
    assert place.read_secrets() == before


def test_nothing_is_asked_where_there_is_no_terminal(place: Place) -> None:
    """On a pipe the plan is shown and nothing happens without --yes."""
    before = place.read_secrets()
    done = place.run("rotate", "form_secret")
    assert done.code == 2
    assert "Pass --yes." in done.output
    assert "Restarts: synapse" in done.output
    assert place.read_secrets() == before
    assert not place.journal.exists()


def test_a_file_edited_by_hand_stops_it_before_anything_happens(place: Place) -> None:
    """A conflict is found before the journal is written."""
    with (place.bundle / "secrets" / "synapse.yaml").open("a") as file:
        file.write("# mine\n")
    assert "edited by hand: secrets/synapse.yaml" in place.refuse("form_secret", code=1)
    assert not place.journal.exists()


def test_a_service_that_depends_on_a_restart_is_named() -> None:
    """Services that changed, and those that Compose restarts with them; commands are not."""
    before = {
        "a": {"image": "1"},
        "b": {"image": "1", "depends_on": {"a": {"restart": True}}},
        "c": {"image": "1", "depends_on": {"a": {"condition": "service_healthy"}}},
        "d": {"image": "1", "depends_on": ["a"]},
        "e": {"image": "1", "profiles": ["tools"]},
    }
    after = {**before, "a": {"image": "2"}, "e": {"image": "2", "profiles": ["tools"]}}
    texts = [
        yaml.safe_dump({"services": each}, sort_keys=False).encode() for each in (before, after)
    ]
    assert list_restarts(*texts) == ["a", "b"]


def test_a_kill_at_any_change_of_the_disk_is_finished_by_the_same_command(place: Place) -> None:
    """Between any two changes of the disk the next run ends it, and makes nothing a second time."""
    names = ["signing.key", "authority.key", "synapse_database_password"]
    place.start(running=False)
    events = [event for event in CHANGES if event != "open"]
    for step in itertools.count():
        before = place.read_secrets()
        run = place.run("rotate", *names, "--yes", fault="kill", step=step, events=events)
        after = place.read_secrets()
        if not run.killed:
            assert run.code == 0, run.output
            break
        written = {name for name in names if after[name] != before[name]}
        # Only while it is noted can a part of them be new.
        assert place.journal.exists() or written in (set(), set(names))
        if written != set(names) or place.journal.exists():
            place.rotate(*names)
        ended = place.read_secrets()
        assert [name for name in names if ended[name] == before[name]] == []
        assert {name: ended[name] for name in written} == {name: after[name] for name in written}
        assert not place.journal.exists()
        assert place.run("generate").code == 0
    assert step > 10


@pytest.mark.parametrize(
    ("name", "question", "answer", "code"),
    [
        ("authority.key", "Type the server name (localhost) to go on: ", "y", 1),
        ("signing.key", "Type the server name (localhost) to go on: ", "localhost", 0),
        ("form_secret", "Do this now? [y/N]: ", "n", 1),
        ("form_secret", "Do this now? [y/N]: ", "y", 0),
    ],
)
def test_a_person_at_a_terminal_is_asked(
    tmp_path: Path, name: str, question: str, answer: str, code: int
) -> None:
    """What cannot be taken back wants the server's name; a denial changes nothing."""
    command = [sys.executable, "-m", "synapse_bundle"]
    environment = {**os.environ, "PATH": "/nonexistent", "TERM": "dumb"}
    run([*command, "generate"], cwd=tmp_path, environment=environment)
    path = tmp_path / "bundle" / "secrets" / name
    before = path.read_text()
    mine, its = pty.openpty()
    with subprocess.Popen(
        [*command, "rotate", name], cwd=tmp_path, env=environment, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        said = ""
        for part in read_terminal(mine):
            said += part
            if said.endswith(question):
                os.write(mine, f"{answer}\n".encode())
    os.close(mine)
    assert process.returncode == code, said
    assert (path.read_text() == before) == bool(code)
    assert ("Aborted; nothing was changed." in said) == bool(code)

"""The drill restores the newest set beside the server: green if it is whole, red for any fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helper.backup.waiting_dump import WAITING, lock_awaited
from tests.helper.machines import KILL_CODE, Machine, describe_files
from tests.helper.repositories import flip_byte, forge, list_snapshots, read_manifest
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine


def drill(machine: Machine) -> tuple[int, str]:
    """Drill, and make sure that nothing is left behind and nothing of the server changed."""
    machine.execute("true")
    before = machine.describe()
    code, said = machine.run("backup", "drill")
    assert machine.describe() == before
    assert "drill" not in " ".join(path.name for path in machine.state.rglob("*"))
    assert "postgres -D" not in machine.execute(
        "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    )
    return code, said


def read_report(machine: Machine) -> dict[str, object]:
    """Return what the helper's watch reads."""
    text = (machine.directory / "report" / "backup" / "status.json").read_text()
    content: dict[str, object] = json.loads(text)
    return content


def test_a_good_set(saved_machine: Machine) -> None:
    """Every table is equal, every file is there; the report says so."""
    code, said = drill(saved_machine)
    assert (code, "can be restored: 7 tables are equal" in said) == (0, True), said
    report = read_report(saved_machine)
    assert report["drill_problem"] is None
    assert report["last_drill"]


def test_a_user_without_a_name(saved_machine: Machine) -> None:
    """The owner of the folder has a number, and no name in the container."""
    paths = (saved_machine.folder, saved_machine.repository)
    for path in paths:
        saved_machine.execute("chown", "-R", "1234:1234", f"/{path.name}")
    try:
        code, said = drill(saved_machine)
        assert code == 0, said
    finally:
        for path in paths:
            saved_machine.execute("chown", "-R", "0:0", f"/{path.name}")


def test_what_a_killed_drill_left(saved_machine: Machine) -> None:
    """The next drill removes it first."""
    saved_machine.execute("true")
    code, _ = saved_machine.run("backup", "drill", kill=(20, "start"))
    assert code == KILL_CODE
    code, said = drill(saved_machine)
    assert code == 0, said


def change_row(machine: Machine) -> None:
    """Change one value of one row."""
    with machine.superuser(machine.database) as superuser:
        superuser.execute("UPDATE events SET json = 'x' || substr(json, 2) WHERE event_id = '$7'")


def drop_table(machine: Machine) -> None:
    """Let a table vanish."""
    with machine.superuser(machine.database) as superuser:
        superuser.execute("DROP TABLE access_tokens")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (change_row, "the table events has the right number of rows, 500, but not their content"),
        (drop_table, "the table access_tokens is missing"),
    ],
)
def test_a_dump_that_is_not_what_was_saved(
    old_machine: Machine, fault: Callable[[Machine], None], sentence: str
) -> None:
    """The dump is compared with what the database held when it was made."""
    old_machine.succeed("backup", "now")
    first = read_manifest(old_machine, list_snapshots(old_machine, "set")[-1]["id"])
    fault(old_machine)
    old_machine.succeed("backup", "now")
    forge(old_machine, tables=first["tables"])
    code, said = drill(old_machine)
    assert (code, sentence in said) == (1, True), said
    assert sentence in str(read_report(old_machine)["drill_problem"])


def test_an_exchanged_file(old_machine: Machine) -> None:
    """A file with another content of the same length is not the one that was uploaded."""
    path = old_machine.upload(b"the right one")
    path.write_bytes(b"the wrong one")
    gone = old_machine.upload(b"deleted on purpose")
    gone.unlink()
    old_machine.succeed("backup", "now")
    code, said = drill(old_machine)
    name = "".join(path.parts[-3:])
    assert (code, f"the file {name} has another content" in said) == (1, True), said
    assert "is missing" not in said


def test_a_missing_file(old_machine: Machine) -> None:
    """A file that is here and not in the set was lost."""
    path = old_machine.upload(b"lost")
    path.unlink()
    old_machine.succeed("backup", "now")
    path.write_bytes(b"lost")
    code, said = drill(old_machine)
    assert (code, "is missing" in said) == (1, True), said


def test_a_backup_beside_it(old_machine: Machine) -> None:
    """In one container, as in a cluster: neither waits for the other, and both are whole."""
    old_machine.succeed("backup", "now")
    with (
        old_machine.superuser(old_machine.database) as watching,
        old_machine.superuser(old_machine.database) as locking,
        ThreadPoolExecutor(1) as pool,
    ):
        lock_awaited(locking)
        backup = pool.submit(old_machine.run, "backup", "now")
        try:
            wait_for(lambda: backup.done() or watching.execute(WAITING).fetchone(), "pg_dump waits")
            code, said = old_machine.run("backup", "drill")
            assert (code, "tables are equal" in said) == (0, True), said
            assert not backup.done()
        finally:
            locking.execute("ROLLBACK")
        code, said = backup.result()
    assert (code, "is complete" in said) == (0, True), said
    code, said = drill(old_machine)
    assert code == 0, said


@pytest.mark.parametrize("swap", ["manifest", "file"])
def test_a_swapped_key(old_machine: Machine, swap: str) -> None:
    """A server restored from this would be a stranger to all others."""
    old_machine.succeed("backup", "now")
    other = "ed25519:a_OTHER " + "A" * 43
    key = old_machine.folder / "secrets" / "signing.key"
    former = key.read_text()
    if swap == "manifest":
        forge(old_machine, verify_key=other)
    else:
        key.write_text("ed25519 a_TEST " + "A" * 43 + "\n")
        forge(old_machine)
        key.write_text(former)
    code, said = drill(old_machine)
    assert (code, "signing key" in said) == (1, True), said


def test_a_flipped_byte(target: Machine) -> None:
    """A repository that rots is noticed before it is needed."""
    target.execute("true")
    for path in (target.repository / "data").rglob("*"):
        if path.is_file():
            flip_byte(path)
    files = describe_files(target.repository)
    code, said = target.run("backup", "drill")
    assert (code, "Traceback" in said) == (1, False), said
    assert describe_files(target.repository) == files
    assert not (target.state / "drill").exists()

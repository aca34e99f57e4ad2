"""A set becomes the server again on another machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.machines import Machine, describe_files
from tests.helper.repositories import forge, list_snapshots, restic

pytestmark = pytest.mark.engine
_ADVANCE = 1_000_000


def read_sequences(machine: Machine) -> list[int]:
    """Return where two sequences are, one of which was never used."""
    return [
        int(str(machine.ask(f'SELECT last_value FROM "{name}"')))  # noqa: S608
        for name in ("events_stream_seq", "odd Name's")
    ]


def count(machine: Machine, table: str) -> object:
    """Return the number of rows."""
    return machine.ask(f"SELECT count(*) FROM {table}")  # noqa: S608


def hash_kept(machine: Machine) -> dict[str, str]:
    """Return the content of the tables that every set holds."""
    left_out = {"e2e_one_time_keys_json", "events_stream_seq", "odd Name's"}
    return {k: v for k, v in machine.hash_tables().items() if k not in left_out}


def hash_media(machine: Machine) -> dict[str, str]:
    """Return owner, mode and content of all files that are not copies from other servers."""
    return {
        path: found
        for path, found in describe_files(machine.media).items()
        if "remote_content" not in path
    }


def test_a_set_is_restored_on_an_empty_machine(old_machine: Machine, new_machine: Machine) -> None:
    """Every table and file is there; what would harm clients is not; the server starts."""
    old_machine.succeed("backup", "now")
    said = new_machine.succeed("restore")
    assert "whoever signed in after that has to sign in again" in said
    assert hash_kept(new_machine) == hash_kept(old_machine)
    assert hash_media(new_machine) == hash_media(old_machine)
    assert read_sequences(new_machine) == [500 + _ADVANCE, 5 + _ADVANCE]
    assert count(new_machine, "e2e_one_time_keys_json") == 0
    assert count(new_machine, "e2e_fallback_keys_json") == 1
    assert new_machine.can_start


def test_a_restored_server_is_a_new_instance(old_machine: Machine, new_machine: Machine) -> None:
    """It has its own id in the next epoch, and the server before it makes no more sets."""
    old_machine.succeed("backup", "now")
    new_machine.succeed("restore")
    with new_machine.superuser() as superuser:
        record = read_record(superuser, new_machine.database)
    assert record is not None
    assert (record.id, record.epoch, record.restoring) == (new_machine.instance, 2, None)
    assert record.id != old_machine.instance
    code, said = old_machine.run("backup", "now")
    assert (code, "another machine took over this server" in said) == (1, True)
    new_machine.succeed("backup", "now")


def test_a_set_by_name(old_machine: Machine, new_machine: Machine) -> None:
    """An older set is restored by its name, an unknown name is refused."""
    old_machine.succeed("backup", "now")
    name = old_machine.succeed("backup", "list").split()[0]
    with old_machine.superuser(old_machine.database) as superuser:
        superuser.execute("DELETE FROM events")
    old_machine.succeed("backup", "now")
    code, said = new_machine.run("restore", "20200101-0000-0000")
    assert (code, "there is no set 20200101-0000-0000" in said) == (1, True)
    new_machine.succeed("restore", name)
    assert count(new_machine, "events") == 500


def test_old_fallback_keys_are_dropped(old_machine: Machine, new_machine: Machine) -> None:
    """After a week a device may have forgotten the key."""
    old_machine.succeed("backup", "now")
    forge(old_machine, time="2026-01-01T00:00:00+00:00")
    new_machine.succeed("restore")
    assert count(new_machine, "e2e_fallback_keys_json") == 0


def test_the_repository_stays_the_folders_owner_s(
    old_machine: Machine, new_machine: Machine
) -> None:
    """What a restore writes there as root can be read by the next backup, which is not root."""
    for directory in (old_machine.folder, old_machine.repository):
        for path in (directory, *directory.rglob("*")):
            os.chown(path, 1234, 1234)
    old_machine.succeed("backup", "now")
    new_machine.succeed("restore")
    owners = {path.stat().st_uid for path in old_machine.repository.rglob("*")}
    assert owners == {1234}
    assert list_snapshots(old_machine, "takeover")


def test_files_of_another_number_become_synapse_s(
    old_machine: Machine, new_machine: Machine
) -> None:
    """The machine where the set was made may have had another number for Synapse."""
    for path in (old_machine.media, *old_machine.media.rglob("*")):
        os.chown(path, 4321, 4321)
    old_machine.succeed("backup", "now")
    new_machine.succeed("restore")
    owners = {path.stat().st_uid for path in (new_machine.media, *new_machine.media.rglob("*"))}
    assert owners == {991}


def test_without_root_a_volume_of_the_group_is_enough(
    old_machine: Machine, new_machine: Machine
) -> None:
    """As in a pod: Synapse's user, volumes that belong to root and to its group, no capability."""
    pod = "import os; os.setgroups([]); os.setresgid(*[991] * 3); os.setresuid(*[991] * 3)\n"
    for machine in (old_machine, new_machine):
        for folder in (machine.folder, machine.media, machine.repository):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, 991, 991)
        for directory in (machine.media, machine.state):
            os.chown(directory, 0, 991)
            directory.chmod(0o2775)
        machine.execute("chmod", "0777", machine.environ["RUNTIME_DIRECTORY"], "/report")
    old_machine.succeed("backup", "now", code=pod)
    new_machine.succeed("restore", code=pod)
    assert hash_kept(new_machine) == hash_kept(old_machine)
    assert hash_media(new_machine) == hash_media(old_machine)
    assert {path.name for path in new_machine.media.iterdir()} == {"media_store"}
    assert new_machine.can_start


def test_data_that_differs_does_not_start(old_machine: Machine, new_machine: Machine) -> None:
    """If a table is not what was saved, nothing is changed, and another set can be restored."""
    old_machine.succeed("backup", "now")
    good = old_machine.succeed("backup", "list").split()[0]
    old_machine.succeed("backup", "now")
    forge(old_machine, tables={"events": {"rows": 500, "hash": "1"}})
    new_machine.execute("true")
    before = new_machine.describe()
    code, said = new_machine.run("restore")
    assert (code, "the table events has the right number of rows" in said) == (1, True)
    assert "Nothing was changed. Restore another set" in said
    assert new_machine.describe() == before
    new_machine.succeed("restore", good)
    assert new_machine.can_start


def test_a_file_that_cannot_take_its_place(old_machine: Machine, new_machine: Machine) -> None:
    """The sentence names the volume; nothing starts until the next run has completed it."""
    old_machine.succeed("backup", "now")
    refusal = "import pathlib\ndef refuse(path, _target):\n    path.joinpath('no').read_bytes()\n"
    code, said = new_machine.run("restore", code=f"{refusal}pathlib.Path.rename = refuse\n")
    assert (code, "cannot be restored: No such file or directory" in said) == (1, True), said
    assert "Check the volume `media`, then run this again" in said
    assert "was interrupted" in new_machine.start_server()[1]
    new_machine.succeed("restore")
    assert new_machine.can_start


def test_a_cut_off_dump_is_refused(old_machine: Machine, new_machine: Machine) -> None:
    """A dump that is shorter than the set says is no dump."""
    old_machine.succeed("backup", "now")
    dump = list_snapshots(old_machine, "dump")[-1]
    size = int(
        restic(old_machine, "stats", "--json", dump["id"]).split('"total_size":')[1].split(",")[0]
    )
    forge(old_machine, dump_bytes=size + 1)
    before = new_machine.describe()
    code, said = new_machine.run("restore")
    assert (code, f"has {size} bytes, not {size + 1}" in said) == (1, True)
    assert new_machine.describe() == before


def test_a_path_with_spaces_and_umlauts(
    old_machine: Machine, new_machine: Machine, tmp_path: Path
) -> None:
    """Names of files are bytes, and come back as they were."""
    odd = old_machine.media / "media_store" / "lokal wäre \n schön*"
    odd.write_bytes(b"odd")
    odd.chmod(0o644)
    old_machine.succeed("backup", "now")
    new_machine.succeed("restore")
    assert (new_machine.media / odd.relative_to(old_machine.media)).read_bytes() == b"odd"

"""`synapse-bundle import`: what it asks of Docker, in which order, and that a refusal changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from synapse_bundle import import_project
from synapse_bundle.credentials import carried, signing_keys
from synapse_bundle.errors import SettingsError
from synapse_bundle.import_project import Source

NOW: Final = datetime(2026, 11, 27, tzinfo=UTC)
SETTINGS: Final = "server_name: example.org\nemail: you@example.org\ncertificates: own-authority\n"
# Notes each call with what it was given, and fails where a file says so.
SCRIPT: Final = """#!/bin/sh
cd {state} || exit
case "$*" in
"compose version --short") echo 2.26.1; exit ;;
"version --format {{{{.Server.Version}}}}") echo 26.1.5; exit ;;
"volume inspect absent") exit 1 ;;
"ps --quiet") cat running; exit ;;
"inspect "*) cat inspected; exit ;;
*" ps --quiet"|*" config "*|"ps --all "*) exit ;;
esac
echo "$*" | sed 's/.*import.yaml run --rm --no-TTY/run/; s/.*compose.override.yaml //' >>calls
case "$*" in
*" restore inspect") cat found ;;
*" synapse synapse._scripts."*) cat >>given; echo >>given ;;
esac
case "$*" in *"$(cat failing)") echo "words of $*" >&2; exit 1 ;; esac
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory with a generated bundle, another server's folder, and a `docker` that plays its part."""

    home: Path

    @property
    def bundle(self) -> Path:
        return self.home / "bundle"

    def say(self, name: str, text: str) -> None:
        """Let that `docker` say or do something."""
        (self.home / "state" / name).write_text(text)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the program; return its exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "synapse_bundle", *arguments],
            cwd=self.home,
            env={**os.environ, "PATH": f"{self.home / 'bin'}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def refuse(self, *arguments: str) -> str:
        """Run an import that has to be refused before anything changes; return its words."""
        before = self.describe()
        code, _, complaint = self.run("import", *arguments)
        assert code == 2, complaint
        assert self.describe() == before
        assert not [call for call in self.calls if "inspect" not in call]
        return complaint

    def describe(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.bundle.rglob("*") if path.is_file()}

    def secret(self, name: str) -> str:
        return (self.bundle / "secrets" / name).read_text().removesuffix("\n")

    @property
    def calls(self) -> list[str]:
        path = self.home / "state" / "calls"
        return path.read_text().splitlines() if path.exists() else []


def find(**changes: Any) -> dict[str, Any]:
    """Return what the helper finds in a sound server."""
    secrets = {
        "signing_keys": [signing_keys.make()],
        "old_signing_keys": {},
        "macaroon_secret_key": "their macaroon secret",
        "form_secret": "their form secret",
        "password_pepper": "their pepper",
    }
    return {
        "rows": [["server", "example.org"]],
        "problems": [],
        "secrets": secrets,
        "sqlite": True,
    } | changes


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a new bundle, which no test changes."""
    home = tmp_path_factory.mktemp("generated")
    (home / "bin").mkdir()
    (home / "settings.yaml").write_text(SETTINGS)
    code, _, complaint = Place(home=home).run("generate")
    assert code == 0, complaint
    return home


@pytest.fixture
def place(generated: Path, tmp_path: Path) -> Place:
    place = Place(home=shutil.copytree(generated, tmp_path, dirs_exist_ok=True))
    for name in ("state", "old"):
        (tmp_path / name).mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(SCRIPT.format(state=tmp_path / "state"))
    docker.chmod(0o755)
    for name, text in (("running", ""), ("failing", "nothing"), ("found", json.dumps(find()))):
        place.say(name, text)
    return place


def test_an_sqlite_server(place: Place) -> None:
    """Its secrets become the bundle's, and the steps follow each other."""
    found = find()
    place.say("found", json.dumps(found))
    code, said, complaint = place.run("import", "old")
    assert code == 0, complaint
    copy = "/state/import/homeserver.db"
    scripts = "run --no-deps synapse synapse._scripts"
    assert place.calls[:5] == [
        "run --no-deps restore inspect",
        "run restore begin",
        f"{scripts}.update_synapse_database --run-background-updates --database-config -",
        f"{scripts}.synapse_port_db --sqlite-database {copy} --postgres-config -",
        "run restore finish",
    ]
    assert place.calls[5].startswith("up --detach --wait")
    assert place.calls[6] == "exec --no-TTY helper check"
    assert place.secret("signing.key") == found["secrets"]["signing_keys"][0]
    assert place.secret("macaroon_secret_key") == "their macaroon secret"
    assert place.secret("form_secret") == "their form secret"
    document = yaml.safe_load(place.secret("synapse.yaml"))
    assert document["password_config"]["pepper"] == "their pepper"
    assert document["password_config"]["policy"] == {"enabled": True, "minimum_length": 10}
    sqlite, postgres = (
        json.loads(line) for line in (place.home / "state" / "given").read_text().splitlines()
    )
    assert sqlite["database"] == {"name": "sqlite3", "args": {"database": copy}}
    assert postgres["database"]["args"]["password"] == place.secret("synapse_database_password")
    for secret in ("their", place.secret("synapse_database_password")):
        assert secret not in said + complaint + "".join(place.calls)
    assert "Leave the old server stopped" in said


def test_a_dump(place: Place) -> None:
    """Synapse only brings it up to date."""
    place.say("found", json.dumps(find(sqlite=False)))
    (place.home / "synapse.dump").touch()
    code, _, complaint = place.run("import", "old", "--database", "synapse.dump")
    assert code == 0, complaint
    assert place.calls[1:4] == [
        "run restore begin",
        "run --no-deps synapse synapse._scripts.update_synapse_database --database-config -",
        "run restore finish",
    ]


def test_a_dry_run_only_looks(place: Place) -> None:
    before = place.describe()
    code, said, complaint = place.run("import", "old", "--dry-run")
    assert code == 0, complaint
    assert "server       example.org" in said
    assert "It can be imported. Nothing was changed." in said
    assert place.calls == ["run --no-deps restore inspect"]
    assert place.describe() == before


def test_problems_refuse(place: Place) -> None:
    """What was found is shown, and every problem."""
    place.say("found", json.dumps(find(problems=["the first", "the second"], secrets=None)))
    said = place.refuse("old")
    assert "cannot be imported; nothing was changed.\n  the first\n  the second" in said


@pytest.mark.parametrize(
    "failing",
    ["restore begin", "update_synapse_database --run-background-updates --database-config -"],
)
def test_a_step_that_fails_is_repeated(place: Place, failing: str) -> None:
    """The reason is shown, the server is not started, and the same command begins anew."""
    place.say("failing", failing)
    code, _, complaint = place.run("import", "old")
    assert code == 1
    assert "words of" in complaint
    assert "run the same command again" in complaint
    assert not [call for call in place.calls if call.startswith("up ")]
    place.say("failing", "nothing")
    code, _, complaint = place.run("import", "old")
    assert code == 0, complaint


def test_a_server_that_runs(place: Place) -> None:
    """Whoever has the folder, or one in it, is named; another folder is not meant."""
    place.say("running", "abc\n")
    mount = {"Type": "bind", "Source": str(place.home / "elsewhere")}
    volume = {"Type": "volume", "Name": "synapse-data", "Source": "/var/lib/docker/volumes/x"}
    for mounts in ([mount], [mount, volume]):
        place.say("inspected", json.dumps([{"Name": "/synapse", "Mounts": mounts}]))
        assert place.run("import", "old", "--dry-run")[0] == 0
    assert "docker stop synapse" in place.refuse("--volume", "synapse-data")
    mount["Source"] = str(place.home / "old" / "media_store")
    place.say("inspected", json.dumps([{"Name": "/synapse", "Mounts": [mount]}]))
    assert "docker stop synapse" in place.refuse("old")


def test_a_source_that_is_none(place: Place) -> None:
    assert "There is no Docker volume absent" in place.refuse("--volume", "absent")
    assert "not both" in place.refuse("old", "--volume", "absent")
    assert "not both" in place.refuse()
    assert "new is not a folder" in place.refuse("new")
    assert "dump is not a file" in place.refuse("old", "--database", "dump")


def test_a_bundle_of_other_settings(place: Place) -> None:
    """Its images would do the work."""
    (place.home / "settings.yaml").write_text(f"{SETTINGS}max_upload_size: 50M\n")
    assert "synapse-bundle generate" in place.refuse("old")


def test_a_folder_that_has_a_server(place: Place) -> None:
    """A key of its own is never replaced once it has signed; the same one may come again."""
    (place.bundle / "secrets" / "instance").write_text(f"{'a' * 32}\n")
    assert "belongs to a server that has run" in place.refuse("old")
    found = find()
    found["secrets"]["signing_keys"] = [place.secret("signing.key")]
    place.say("found", json.dumps(found))
    assert place.run("import", "old")[0] == 0


def test_a_database_of_somebody_else(place: Place) -> None:
    (place.home / "password").write_text("a password of theirs\n")
    (place.home / "settings.yaml").write_text(
        f"{SETTINGS}database: {{host: db.example.org, password: password, sslmode: require}}\n"
    )
    assert "run by somebody else" in place.refuse("old")


def test_a_pepper_ends_with_the_next_import(place: Place) -> None:
    """A trial of one server, then another one into the same empty bundle."""
    assert place.run("import", "old")[0] == 0
    found = find()
    found["secrets"]["password_pepper"] = ""
    place.say("found", json.dumps(found))
    assert place.run("import", "old")[0] == 0
    assert "password_config" not in yaml.safe_load(place.secret("synapse.yaml"))
    code, said, _ = place.run("generate")
    assert (code, "identical" in said) == (0, True)


def test_keys_of_before() -> None:
    """All but the first of a file are old ones; what the other server calls old stays so."""
    first, second = signing_keys.make(), signing_keys.make()
    old = {"ed25519:a_old": {"key": "A" * 43, "expired_ts": 5}}
    found = find()["secrets"] | {"signing_keys": [first, second], "old_signing_keys": old}
    values = carried.convert(found, NOW)
    assert values["signing.key"] == first
    keys = signing_keys.read_old(values["old_signing_keys"])
    assert keys[0].expired == 5
    assert f"{keys[1].id} {keys[1].public}" == signing_keys.derive_verify_key(second)
    assert keys[1].expired == NOW.timestamp() * 1000


def test_secrets_that_a_bundle_cannot_hold() -> None:
    """Too short ones are left out, where nobody loses by it; a pepper is not."""
    found = find()["secrets"] | {"macaroon_secret_key": "short", "form_secret": ""}
    assert carried.convert(found, NOW).keys() == {"signing.key", "password_pepper"}
    for wrong in (
        {"password_pepper": "two\nlines"},
        {"old_signing_keys": {"a": 5}},
        {"old_signing_keys": {"a": {"key": "short", "expired_ts": 5}}},
    ):
        with pytest.raises(SettingsError, match="nothing was changed"):
            carried.convert(found | wrong, NOW)


def test_nothing_can_write_the_source(tmp_path: Path) -> None:
    """It is mounted read-only, where it has secrets no log keeps them, and nothing restarts."""
    for source in (
        Source(folder=tmp_path, volume="", dump=tmp_path / "dump"),
        Source(folder=None, volume="synapse-data", dump=None),
    ):
        services = import_project.describe(source, "label")["services"]
        for mount in services["restore"]["volumes"]:
            assert mount["read_only"], mount
        assert "/source" not in json.dumps(services["synapse"])
        for service in services.values():
            assert (service["logging"], service["restart"]) == ({"driver": "none"}, "no")

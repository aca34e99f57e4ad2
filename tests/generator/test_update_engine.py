"""What an update asks of Docker, and what it makes of the answers, beside a `docker` that plays its part."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from synapse_bundle import locking
from synapse_bundle.errors import BundleError
from synapse_bundle.updating.update_engine import RunningContainer, UpdateEngine
from synapse_bundle.updating.way_back import SchemaVersions

# Notes each call, and runs the script of its verb, if there is one.
DOCKER: Final = """#!/bin/sh
cd {state} || exit
words=
for each; do
    case $each in --file|*/compose.yaml|compose) ;; *) words="$words $each" ;; esac
done
echo "${{words# }}" >>calls
for verb in $words; do
    [ ! -x "./on-$verb" ] || exec "./on-$verb" $words
done
"""
UP: Final = "up --detach --wait --remove-orphans"
LOOKS: Final = ("ps ", "inspect ", "image inspect ", "config ", "--profile tools config ")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A bundle's folder, and what that `docker` does."""

    folder: Path

    @property
    def engine(self) -> UpdateEngine:
        """The engine of the bundle."""
        return UpdateEngine(bundle=self.folder / "bundle")

    def act(self, verb: str, script: str) -> None:
        """Let `docker` run a script where this is the first word that has one."""
        path = self.folder / f"on-{verb}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def show(self, *containers: dict[str, Any]) -> None:
        """Let the engine have containers, and for each service the image that its name leads to."""
        self.act("ps", "echo a b")
        (self.folder / "found").write_text(json.dumps(containers))
        image = json.dumps([{"Id": "sha256:'${3%%:*}'", "RootFS": {}}])
        self.act("inspect", f"[ $1 = image ] && echo '{image}' || cat found")

    def depend(self, service: str, *needed: str) -> None:
        """Let a service depend on others."""
        model = json.loads((self.folder / "model").read_text())
        model["services"][service]["depends_on"] = {name: {} for name in needed}
        (self.folder / "model").write_text(json.dumps(model))

    def list_calls(self) -> list[str]:
        """Return what was asked since the last time, without the looks at containers."""
        path = self.folder / "calls"
        calls = path.read_text().splitlines()
        path.unlink()
        return [call for call in calls if not call.startswith(LOOKS)]

    def model(self, **images: str) -> None:
        """Let Compose know services by their images; each has the hash that it says by itself."""
        document = {"services": {name: {"image": image} for name, image in images.items()}}
        (self.folder / "model").write_text(json.dumps(document))
        hashes = "".join(f"{name} hash-of-{name}\n" for name in images)
        (self.folder / "hashes").write_text(hashes)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "docker"
    program.write_text(DOCKER.format(state=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "compose.yaml").write_text("services: {}\n")
    made = Place(folder=tmp_path)
    made.model(synapse="synapse:1", apache="apache:1", postgres="postgres:1")
    made.act("config", 'case "$*" in *--hash*) cat hashes ;; *) cat model ;; esac')
    return made


def describe(service: str, *, restarts: int = 0, health: str = "healthy") -> dict[str, Any]:
    """Return what the engine says of a container."""
    return {
        "Id": f"id of {service}",
        "Name": f"/{service}-1",
        "Image": f"sha256:{service}",
        "RestartCount": restarts,
        "State": {
            "StartedAt": f"start of {service}",
            "Running": service != "bootstrap",
            "Health": {"Status": health},
        },
        "Config": {
            "Image": f"{service}:1",
            "Labels": {
                "com.docker.compose.service": service,
                "com.docker.compose.config-hash": f"hash-of-{service}",
            },
        },
    }


def test_containers_are_known_by_service(place: Place) -> None:
    place.show(describe("synapse"), describe("apache"))
    assert place.engine.list_containers() == [
        RunningContainer(service=name, reference=f"{name}:1", image=f"sha256:{name}")
        for name in ("synapse", "apache")
    ]


def test_containers_that_cannot_be_listed_are_not_taken_for_none(place: Place) -> None:
    """An update that believed it would record nothing to come back to."""
    place.act("ps", "echo no answer >&2; exit 1")
    with pytest.raises(BundleError, match="`docker compose ps` failed: no answer"):
        place.engine.list_containers()


def change(service: str) -> dict[str, Any]:
    """Return what the engine says of a container that Compose would replace."""
    described = describe(service)
    described["Config"]["Labels"]["com.docker.compose.config-hash"] = "another"
    return described


def test_a_start_ends_as_compose_ends(place: Place) -> None:
    """Healthy, or not; a container that ended long ago and is healthy is left alone."""
    place.show(describe("synapse", restarts=9))
    place.engine.start()
    place.engine.start("postgres")
    assert place.list_calls() == [UP, f"{UP} postgres"]
    place.act("up", "exit 1")
    with pytest.raises(BundleError, match="The bundle did not start"):
        place.engine.start()


def replace(service: str, *options: str) -> list[str]:
    """Return the calls that replace a service."""
    return [f"create {service}", " ".join(["start", *options, f"{service}-1"])]


def test_what_changes_alone_is_replaced_first(place: Place) -> None:
    """One after the other, each after what it needs; the bootstrap to its end, and nothing that has stopped.

    Not where PostgreSQL changes, in its definition or its image, and not where workers wait for Synapse.
    """
    stopped = change("cloudflared")
    stopped["State"]["Running"] = False
    postgres = describe("postgres")
    services = ("synapse", "apache", "bootstrap", "cloudflared", "helper", "postgres")
    place.model(**{name: f"{name}:1" for name in services})
    place.depend("synapse", "bootstrap", "postgres")
    place.depend("apache", "synapse")
    seen = [change("synapse"), change("apache"), change("bootstrap"), stopped, postgres]
    place.show(*seen, describe("helper"), change("old"))
    place.engine.start()
    assert place.list_calls() == [
        *replace("bootstrap", "--attach"),
        *replace("synapse"),
        *replace("apache"),
        UP,
    ]
    place.model(synapse="synapse:1", worker="synapse:1", postgres="postgres:1")
    place.engine.start()
    assert place.list_calls() == [UP]
    place.model(synapse="synapse:1", postgres="postgres:1")
    place.show(change("synapse"), postgres | {"Image": "sha256:other"})
    place.engine.start()
    assert place.list_calls() == [UP]
    place.show(change("synapse"), change("postgres"))
    place.engine.start()
    assert place.list_calls() == [UP]


@pytest.mark.parametrize("verb", ["create", "start"])
def test_what_cannot_be_replaced_is_named(place: Place, verb: str) -> None:
    place.show(change("synapse"))
    place.act(verb, "exit 1")
    with pytest.raises(BundleError, match="synapse was not replaced; see the error above"):
        place.engine.start()


def test_what_ends_again_and_again_is_not_waited_for(place: Place) -> None:
    """Compose would wait for an hour; what ended so before is stopped first, and does not count."""
    place.show(describe("apache", restarts=7, health="starting"))
    place.engine.start()
    assert place.list_calls() == ["stop apache", UP]
    place.show(describe("synapse"))
    ending = json.dumps([describe("synapse", restarts=3, health="starting")])
    (place.folder / "ending").write_text(ending)
    place.act("up", "mv ending found; echo $$ >pid; exec sleep 600")
    with pytest.raises(BundleError, match="synapse does not start: it has ended 3 times"):
        place.engine.start()
    with pytest.raises(ProcessLookupError):
        os.kill(int((place.folder / "pid").read_text()), 0)


def test_a_log_begins_with_the_last_start(place: Place) -> None:
    """Of each service by itself; what does not run has none."""
    place.show(describe("synapse"), describe("sender"))
    place.act("logs", "echo $*")
    said = place.engine.read_log(["synapse", "sender", "gone"])
    options = "logs --no-log-prefix --no-color --since"
    assert said == f"{options} start of synapse synapse\n{options} start of sender sender\n"
    assert place.engine.read_recent_log(["synapse"]).endswith("--tail 20000 synapse\n")


def test_rows_of_the_helper(place: Place) -> None:
    """Exit code 1 is an answer; no JSON is none."""
    rows = [{"name": "a", "ok": True, "detail": "fine"}, {"name": "b", "ok": False, "detail": "no"}]
    (place.folder / "rows").write_text(json.dumps({"ok": False, "checks": rows}))
    place.act("exec", "cat rows; exit 1")
    assert place.engine.check() == place.engine.find_holes() == {"a": "", "b": "no"}
    assert place.list_calls() == [
        "exec --no-TTY helper check --json",
        "exec --no-TTY helper updates --json",
    ]
    place.act("exec", "echo service helper is not running >&2; exit 1")
    assert place.engine.check() is None


@pytest.mark.parametrize(
    ("printed", "found"),
    [("94 84", SchemaVersions(newest=94, compatible=84)), ("94", None), ("no module", None)],
)
def test_what_an_image_says_of_its_schema(
    place: Place, printed: str, found: SchemaVersions | None
) -> None:
    place.act("run", f"echo {printed}")
    assert place.engine.read_schema("sha256:a") == found


def test_what_the_database_says_of_its_schema(place: Place) -> None:
    """A number; while it is half restored there is none."""
    place.act("exec", "echo 84")
    assert place.engine.read_compatible("synapse") == 84
    place.act("exec", "echo ERROR >&2; exit 1")
    assert place.engine.read_compatible("synapse") is None


def test_a_set_has_the_newest_name(place: Place) -> None:
    """The list has the newest first; a set that failed is none."""
    place.act("list", "echo '20261127-1200-abcd  2026-11-27 12:00 UTC  manual'; echo older")
    assert place.engine.make_set() == "20261127-1200-abcd"
    assert place.list_calls()[0] == "run --rm --no-TTY backup now"
    place.engine.restore_database("NAME")
    assert place.list_calls() == ["run --rm --no-TTY restore --database NAME"]
    place.act("now", "exit 1")
    with pytest.raises(BundleError, match="No set was made"):
        place.engine.make_set()


def test_images_come_and_go(place: Place) -> None:
    """A pull says why it failed; what is gone is gone, what is used stays."""
    assert place.engine.pull("a:1") == ""
    place.act("pull", "echo no route >&2; exit 1")
    assert place.engine.pull("a:1") == "no route"
    assert place.engine.remove_image("a:1")
    place.act("rm", "echo Error: No such image: a:1 >&2; exit 1")
    assert place.engine.remove_image("a:1")
    place.act("rm", "echo conflict: container uses it >&2; exit 1")
    assert not place.engine.remove_image("a:1")
    place.act("build", "exit 1")
    with pytest.raises(BundleError, match="could not be built"):
        place.engine.build(["apache"])
    assert place.list_calls()[-1] == "--profile tools build --no-cache apache"


def test_what_it_starts_holds_the_folder(place: Place) -> None:
    """So what a killed update leaves running keeps the next one out."""
    place.act("pull", 'for each in /proc/$$/fd/*; do readlink "$each"; done >held')
    with locking.lock_folder(place.folder / "bundle") as lock:
        UpdateEngine(bundle=place.folder / "bundle", lock=lock).pull("a:1")
    held = (place.folder / "held").read_text().splitlines()
    assert str(place.folder / "bundle") in held


def test_a_model_is_read_once_for_each_state_of_the_files(place: Place) -> None:
    place.act("config", "echo read >>reads; echo '{\"services\": {}}'")
    engine = place.engine
    assert engine.read_present() == engine.read_present() == {"services": {}}
    assert (place.folder / "reads").read_text() == "read\n"
    (place.folder / "bundle" / "compose.override.yaml").write_text("services: {a: {}}\n")
    engine.read_present()
    assert (place.folder / "reads").read_text() == "read\n" * 2

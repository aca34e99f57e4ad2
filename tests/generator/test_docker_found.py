"""What the command says about the Docker it finds, or does not find, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from synapse_bundle import docker_command, images
from synapse_bundle.cli import main

INSTALL = "https://docs.docker.com/engine/install/"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory to work in, and beside it one for a `docker`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def install_docker(directory: Path, *, engine: str, compose: str, says: str = "") -> None:
    """Install a `docker` that tells versions as the real one does; an empty one is its absence.

    `says` are commands of the shell for when Compose is asked about a bundle.
    """
    script = directory.parent / "bin" / "docker"
    script.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        case "$*" in
        compose*)
            [ -n "{compose}" ] || {{ echo "docker: 'compose' is not a docker command." >&2; exit 1; }}
            case "$*" in *version*) echo "{compose}" ;; *) {says or ":"} ;; esac ;;
        version*)
            [ -n "{engine}" ] || {{ echo "Cannot connect to the Docker daemon." >&2; exit 1; }}
            echo "{engine}" ;;
        esac
        """)
    )
    script.chmod(0o755)


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with no program in reach but that `docker`; never with a traceback."""
    environment = {**os.environ, "PATH": str(directory.parent / "bin")}
    command = [sys.executable, "-m", "synapse_bundle", *arguments]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def read_notes(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a run noted beside its work."""
    notes = [line for line in done.stdout.splitlines() if line.startswith("note ")]
    return [line.removeprefix("note").strip() for line in notes]


def test_a_bundle_is_generated_where_docker_is_missing(directory: Path) -> None:
    """A machine without Docker makes the whole bundle, and says in one line what was not done."""
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert read_notes(done) == [
        "Docker is not installed here, so Compose has not checked the bundle."
    ]
    assert (directory / "bundle" / "compose.yaml").exists()


def test_a_bundle_is_generated_where_compose_is_missing(directory: Path) -> None:
    """Docker without Compose makes the whole bundle, and says in one line what was not done."""
    install_docker(directory, engine="26.1.5", compose="")
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert read_notes(done) == [
        "Docker Compose is not installed here, so it has not checked the bundle."
    ]
    assert (directory / "bundle" / "compose.yaml").exists()


def test_a_bundle_is_generated_where_the_engine_is_down(directory: Path) -> None:
    """An engine that does not answer does not keep a bundle from being generated, and is mentioned in one line."""
    install_docker(directory, engine="", compose="2.26.1")
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert len(read_notes(done)) == 1
    assert "engine" in read_notes(done)[0].lower()
    assert (directory / "bundle" / "compose.yaml").exists()


@pytest.mark.parametrize(
    ("engine", "compose", "named"),
    [
        ("20.10.24+dfsg1", "2.26.1", "Docker Engine 20.10.24+dfsg1 is older than 26.1"),
        ("24.0.7", "2.40.3-3", "Docker Engine 24.0.7 is older than 26.1"),
        ("26.0.2", "v5.5.0", "Docker Engine 26.0.2 is older than 26.1"),
        ("26.1.5", "1.29.2", "Docker Compose 1.29.2 is older than 2.26"),
        ("26.1.5", "2.20.2", "Docker Compose 2.20.2 is older than 2.26"),
        ("26.1.5", "v2.25.0-rc.1", "Docker Compose v2.25.0-rc.1 is older than 2.26"),
    ],
)
def test_a_docker_that_is_too_old_is_named_with_what_to_do(
    directory: Path, engine: str, compose: str, named: str
) -> None:
    """The version found, the version needed and where to get it, in one line; and the bundle."""
    install_docker(directory, engine=engine, compose=compose)
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert read_notes(done) == [
        f"{named}, which the bundle needs; install a current one: {INSTALL}"
    ]
    assert (directory / "bundle" / "compose.yaml").exists()


@pytest.mark.parametrize(
    ("engine", "compose"), [("26.1.5+dfsg1", "2.26.1-4"), ("28.3.3", "v2.40.3"), ("30.0", "5.5.0")]
)
def test_a_docker_that_is_new_enough_goes_without_saying(
    directory: Path, engine: str, compose: str
) -> None:
    """The floor itself and all that is newer give no note."""
    install_docker(directory, engine=engine, compose=compose)
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert read_notes(done) == []


@pytest.mark.parametrize(
    ("engine", "compose", "named"),
    [
        ("24.0.7", "2.26.1", "Docker Engine 24.0.7 is older than 26.1"),
        ("26.1.5", "2.20.2", "Docker Compose 2.20.2 is older than 2.26"),
    ],
)
def test_nothing_is_started_on_a_docker_that_is_too_old(
    directory: Path, engine: str, compose: str, named: str
) -> None:
    """`up` stops before Compose reports a key it does not know: exit code 1 and one line."""
    install_docker(directory, engine=engine, compose=compose)
    done = run(directory, "up")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {named}")


def test_check_without_a_bundle_asks_no_other_project(directory: Path) -> None:
    """A project that the current directory happens to have is not taken for the bundle."""
    install_docker(directory, engine="26.1.5", compose="2.26.1")
    (directory / "compose.yaml").write_text("services: {helper: {image: somebody}}\n")
    done = run(directory, "check")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: bundle holds no bundle; make one with: synapse-bundle generate,"
        " or name it with --output\n"
    )


def test_images_that_are_not_the_recorded_ones_are_reported(directory: Path) -> None:
    """After a start: the recorded digest goes without saying, any other and none is a line."""
    held = {name: [f"{pin.image}@{pin.digest}"] for name, pin in images.read_pins().items()}
    moved = f"debian@sha256:{'0' * 64}"
    for digests, message in (
        (held | {"synapse": ["matrixdotorg/synapse@sha256:abc"]},
         "matrixdotorg/synapse:v1.163.2 is sha256:abc; images.toml records no digest"),
        (held | {"debian": [moved]}, f"debian:trixie-slim is {moved[7:]}, not sha256:a29215f6"),
        (held | {"postgres": []}, "postgres:18-trixie: the engine knows no digest of it"),
    ):  # fmt: skip
        install_images(directory, digests)
        done = run(directory, "up")
        assert done.returncode == 0, done.stderr
        notes = [note for note in read_notes(done) if message in note]
        assert len(notes) == 1, done.stdout
        # What is not used here is not looked for, and what is right goes without saying.
        assert "cloudflared" not in done.stdout


def install_images(directory: Path, digests: dict[str, list[str]]) -> None:
    """Install a `docker` that starts everything, with images of these digests."""
    pins = images.read_pins()
    cases = "".join(
        f"*'inspect {pin.reference}'*) echo '{json.dumps([{'RepoDigests': digests[name]}])}' ;;\n"
        for name, pin in pins.items()
    )
    script = directory.parent / "bin" / "docker"
    script.write_text(
        f"""#!/bin/sh
case "$*" in
{cases}*config*--images*) echo "{pins["postgres"].reference}"; echo "{pins["synapse"].reference}"; echo "{pins["debian"].reference}" ;;
compose*version*) echo 2.40.3 ;;
version*) echo 29.0.0 ;;
esac
"""
    )
    script.chmod(0o755)


@pytest.mark.parametrize("command", ["up", "check"])
def test_commands_that_need_docker_say_so(directory: Path, command: str) -> None:
    """Without Docker: exit code 1 and one line that names it and where to get it."""
    assert run(directory, "generate").returncode == 0
    done = run(directory, *command.split())
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "docker" in done.stderr.lower()
    assert INSTALL in done.stderr


@pytest.mark.parametrize("command", ["up", "check"])
def test_commands_that_need_compose_say_so(directory: Path, command: str) -> None:
    """Docker without Compose: exit code 1, and the missing part is named."""
    assert run(directory, "generate").returncode == 0
    install_docker(directory, engine="26.1.5", compose="")
    done = run(directory, command)
    assert done.returncode == 1
    assert "compose" in done.stdout + done.stderr


def test_a_word_of_docker_is_a_note(directory: Path) -> None:
    """A warning about something else does not keep a bundle from being generated, and is passed on once."""
    warning = "WARNING: Error loading config file: /root/.docker/config.json"
    says = f"echo '{warning}' >&2; echo '{warning}' >&2"
    install_docker(directory, engine="26.1.5", compose="2.26.1", says=says)
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert read_notes(done) == [warning]
    assert (directory / "bundle" / "compose.yaml").exists()


@pytest.mark.parametrize(
    "says",
    [
        "echo 'services.x additional property y is not allowed' >&2; exit 15",
        """echo 'level=warning msg="The \\"X\\" variable is not set. Defaulting to a blank"' >&2""",
    ],
)
def test_what_compose_refuses_is_not_written(directory: Path, says: str) -> None:
    """A bundle that Compose cannot read, or that misses a variable, is refused in its words."""
    install_docker(directory, engine="26.1.5", compose="2.26.1", says=says)
    done = run(directory, "generate")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Docker Compose refuses the bundle: ")
    assert "not allowed" in done.stderr or "variable is not set" in done.stderr
    assert not (directory / "bundle" / "compose.yaml").exists()


def test_a_compose_that_fails_is_quoted(directory: Path) -> None:
    """A plugin that is there and broken is not called missing."""
    install_docker(directory, engine="26.1.5", compose="2.26.1")
    script = directory.parent / "bin" / "docker"
    broken = "#!/bin/sh\necho 'permission denied: docker-compose' >&2; exit 126\n"
    script.write_text(broken)
    done = run(directory, "generate")
    assert done.returncode == 0, done.stderr
    assert (
        "`docker compose version` failed (permission denied: docker-compose),"
        " so it has not checked the bundle."
    ) in read_notes(done)
    assert "permission denied" in run(directory, "check").stderr


def test_a_docker_that_never_answers_is_not_waited_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hung engine does not keep a bundle from being generated, even while a child of `docker` lives on."""
    script = directory.parent / "bin" / "docker"
    script.write_text("#!/bin/sh\n(read forever < fifo)\ntrue\n")
    script.chmod(0o755)
    os.mkfifo(directory / "fifo")
    monkeypatch.chdir(directory)
    monkeypatch.setenv("PATH", str(directory.parent / "bin"))
    monkeypatch.setattr(docker_command, "PATIENCE", 0.5)
    done = CliRunner().invoke(main, ["generate"])
    assert done.exit_code == 0, done.output
    assert "no answer from `docker compose version` within 0.5 seconds" in done.output
    assert Path("bundle/compose.yaml").exists()
    refused = CliRunner().invoke(main, ["check"])
    assert refused.exit_code == 1
    assert "no answer from `docker compose version`" in refused.output
    # Lets the children go: what waits for a writer has met one.
    os.close(os.open("fifo", os.O_RDWR))

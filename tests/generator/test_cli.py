"""The command as a user meets it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from synapse_bundle import assets
from synapse_bundle.cli import main
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings

DOMAIN = "server_name: example.org\nemail: you@example.org\n"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without Docker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    return tmp_path


def invoke(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, arguments)


def snapshot(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return every file's content, mode and time below a directory."""
    return {
        str(path.relative_to(root)): (
            path.read_bytes(),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in root.rglob("*")
        if path.is_file()
    }


def test_generate_needs_no_settings_and_no_docker(directory: Path) -> None:
    """The first command works on a bare machine, and says what to do next and how to sign in."""
    done = invoke("generate")
    assert done.exit_code == 0, done.output
    assert "create    compose.yaml\n" in done.output
    assert "Docker is not installed here, so Compose has not checked the bundle." in done.output
    card = done.output.partition("Next:")[2]
    for text in (
        "docker compose up -d",
        "https://localhost:8443",
        "@admin:localhost",
        "bundle/secrets/admin_password",
        "docker compose exec helper check",
    ):
        assert text in card
    password = (directory / "bundle/secrets/admin_password").read_text().strip()
    assert password not in done.output


def test_a_service_that_is_no_more_is_ended_by_what_to_type(directory: Path) -> None:
    """Compose leaves the container of a service that is gone; the next command does not."""
    (directory / "settings.yaml").write_text("workers: small\n")
    assert "--remove-orphans" not in invoke("generate").output
    (directory / "settings.yaml").write_text("workers: none\n")
    assert "docker compose up -d --remove-orphans\n" in invoke("generate").output
    assert "--remove-orphans" not in invoke("generate").output


def test_second_run_changes_nothing(directory: Path) -> None:
    """Nothing is rewritten, not even a time stamp."""
    invoke("generate")
    before = snapshot(directory)
    done = invoke("generate")
    assert done.exit_code == 0
    assert snapshot(directory) == before
    assert "create" not in done.output
    assert "update" not in done.output


def test_dry_run_writes_nothing_and_names_every_file(directory: Path) -> None:
    """A preview shows each file's fate and leaves the disk alone."""
    done = invoke("generate", "--dry-run")
    assert done.exit_code == 0
    assert "create    synapse/homeserver.yaml\n" in done.output
    assert list(directory.iterdir()) == []
    invoke("generate")
    assert "identical synapse/homeserver.yaml\n" in invoke("generate", "--dry-run").output


def test_diff_shows_changes_but_no_secret(directory: Path) -> None:
    """A diff is shown for configuration; a secret file is named, its content is not."""
    invoke("generate")
    Path("settings.yaml").write_text("max_upload_size: 20M\n")
    secret = Path("bundle/secrets/synapse_database_password")
    old = secret.read_text().strip()
    secret.write_text("another-password\n")
    done = invoke("generate", "--dry-run", "--diff")
    assert "-max_upload_size: 94371840\n+max_upload_size: 20971520\n" in done.output
    assert "secrets/synapse.yaml: secret, not shown" in done.output
    assert "another-password" not in done.output
    assert old not in done.output


def test_a_file_edited_by_hand_is_a_conflict(directory: Path) -> None:
    """Nothing is written over an edit, unless --force says so."""
    invoke("generate")
    edited = Path("bundle/synapse/homeserver.yaml")
    edited.write_text("# mine\n")
    Path("settings.yaml").write_text("max_upload_size: 20M\n")
    before = snapshot(directory)
    done = invoke("generate")
    assert done.exit_code == 1
    assert "conflict  synapse/homeserver.yaml" in done.output
    assert "edited by hand: synapse/homeserver.yaml. Nothing was written." in done.output
    assert snapshot(directory) == before
    assert invoke("generate", "--force").exit_code == 0
    assert "max_upload_size: 20971520" in edited.read_text()


def test_bad_settings_write_nothing(directory: Path) -> None:
    """A mistake in the settings ends with code 2 and an untouched disk."""
    Path("settings.yaml").write_text("server_nmae: example.org\n")
    done = invoke("generate")
    assert done.exit_code == 2
    assert "did you mean 'server_name'?" in done.output
    assert [path.name for path in directory.iterdir()] == ["settings.yaml"]


def test_server_name_is_final(directory: Path) -> None:
    """A generated bundle refuses another server name, with the reason."""
    invoke("generate")
    before = snapshot(directory)
    Path("settings.yaml").write_text(
        "server_name: example.org\nemail: you@example.org\ncertificates: own-authority\n"
    )
    done = invoke("generate")
    assert done.exit_code == 2
    assert "server_name cannot change from 'localhost' to 'example.org'" in done.output
    assert {k: v for k, v in snapshot(directory).items() if k != "settings.yaml"} == before


def test_init_writes_settings_that_change_nothing_and_never_overwrites(directory: Path) -> None:
    """The commented file loads as the defaults, and a second init leaves it alone."""
    done = invoke("init")
    assert done.exit_code == 0
    assert loading.load(Path("settings.yaml")) == Settings()
    Path("settings.yaml").write_text("admin: alice\n")
    again = invoke("init")
    assert again.exit_code == 1
    assert "settings.yaml exists" in again.output
    assert Path("settings.yaml").read_text() == "admin: alice\n"


def test_the_example_names_every_key_with_its_default(repository: Path) -> None:
    """Uncommented, the example is valid; each key that has a default shows that default."""
    text = (repository / "generator/synapse_bundle/settings.example.yaml").read_text()
    lines = [line.removeprefix("#") for line in text.splitlines() if not re.match(r"# \S", line)]
    shown = yaml.safe_load("\n".join(lines))
    assert set(shown) == set(Settings.model_fields)
    # Whose database it is decides who backs it up, so that only one of them is possible.
    exclusive = {"backup", "database", "kubernetes"}
    settings = {
        chosen: loading.parse(
            yaml.safe_dump({k: v for k, v in shown.items() if k not in exclusive - {chosen}}),
            "settings.example.yaml",
        )
        for chosen in exclusive
    }["backup"]
    defaults = Settings()
    for key in ("admin", "memory", "workers", "max_upload_size", "ports", "worker", "project"):
        assert getattr(settings, key) == getattr(defaults, key), key
    for key in ("warn", "fail"):
        assert getattr(settings.certificates, key) == getattr(defaults.certificates, key), key


def test_another_project_beside_the_root_compose_file_is_refused(directory: Path) -> None:
    """A bundle that the compose.yaml above would run under another name is not written."""
    Path("compose.yaml").write_text("name: homeserver\ninclude: [{path: [bundle/compose.yaml]}]\n")
    Path("settings.yaml").write_text("project: other\n")
    done = invoke("generate")
    assert done.exit_code == 2
    assert "project 'other' is not the name in" in done.output
    assert invoke("generate", "--output", "elsewhere").exit_code == 0


@pytest.mark.parametrize("name", ["homeserver", '"homeserver"', "'homeserver'  # mine"])
def test_the_root_compose_file_may_quote_the_name(directory: Path, name: str) -> None:
    """The same name in YAML's other forms is the same project."""
    Path("compose.yaml").write_text(f"name: {name}\ninclude: [{{path: [bundle/compose.yaml]}}]\n")
    done = invoke("generate")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("settings", ["", f"{DOMAIN}certificates: own-authority\n"])
def test_a_token_that_is_not_needed_is_not_asked_for(directory: Path, settings: str) -> None:
    """What was typed in is never dropped silently."""
    Path("settings.yaml").write_text(settings)
    done = CliRunner().invoke(main, ["generate", "--token"], input=f"{'x' * 40}\n")
    assert done.exit_code == 2
    assert "The issuer 'own-authority' needs no DNS token" in done.output
    assert "leave --token out" in done.output
    assert not (directory / "bundle").exists()


@pytest.mark.parametrize(
    "command", ["generate --token", "tunnel import", "cloudflare plan --token-file -"]
)
@pytest.mark.parametrize("redirection", ["<&-", "< bytes"])
def test_a_standard_input_that_holds_no_secret_is_reported(
    directory: Path, command: str, redirection: str
) -> None:
    """Closed, or no text: an answer without a traceback, and nothing is written."""
    (directory / "bytes").write_bytes(b"\xff\xfe\x00")
    Path("settings.yaml").write_text(f"{DOMAIN}tunnel: cloudflare\n")
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{sys.executable}' -m synapse_bundle {command} {redirection}"],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert ("is closed" if redirection == "<&-" else "is not text") in done.stderr
    assert not (directory / "bundle").exists()


def test_advice_is_what_can_be_typed_here(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout has a Makefile; an installed package has the command alone."""
    assert "make generate" in invoke("init").output
    package = directory / "site-packages" / "synapse_bundle"
    (package / "_assets").mkdir(parents=True)
    monkeypatch.setattr(assets, "__file__", str(package / "assets.py"))
    assert "then: synapse-bundle generate\n" in invoke("init", "other.yaml").output
    assert assets.spell("generate", "b") == "synapse-bundle generate --output b"


def test_modes_do_not_depend_on_the_umask(directory: Path) -> None:
    """Secrets lie in a directory for the operator alone; the rest is readable by containers."""
    for umask, name in ((0o000, "open"), (0o077, "closed")):
        previous = os.umask(umask)
        try:
            assert invoke("generate", "--output", name).exit_code == 0
        finally:
            os.umask(previous)
        assert Path(name, "secrets").stat().st_mode & 0o777 == 0o700
        assert Path(name, "apache").stat().st_mode & 0o777 == 0o755
        assert Path(name, "secrets/signing.key").stat().st_mode & 0o777 == 0o444
        assert Path(name, "apache/httpd.conf").stat().st_mode & 0o777 == 0o644


def test_a_first_run_lists_the_images_in_a_line_each(directory: Path) -> None:
    """What is the same for everybody does not bury the card; --verbose names every file."""
    first = invoke("generate")
    assert re.search(r"(?m)^create    images/helper/ \(\d\d+ files\)$", first.output)
    assert "images/helper/Dockerfile" not in first.output
    assert len(first.output.splitlines()) < 60
    assert "create    compose.yaml\n" in first.output
    every = invoke("generate", "--output", "other", "--verbose")
    assert "create    images/helper/Dockerfile\n" in every.output
    number = len(re.findall(r"(?m)^create    \S", every.output))
    assert f"other: {number} create" in every.output
    edited = directory / "bundle/images/helper/Dockerfile"
    edited.write_text("# mine\n")
    assert "conflict  images/helper/Dockerfile\n" in invoke("generate").output
    assert invoke("generate", "--force").exit_code == 0


def test_settings_that_are_not_found_are_not_the_trial(directory: Path) -> None:
    """Who wrote settings does not get a server named localhost, and nothing is written."""
    Path("settings.yml").write_text("admin: alice\n")
    done = invoke("generate")
    assert done.exit_code == 2
    assert "settings.yml is not read; call it settings.yaml" in done.output
    assert invoke("generate", "--settings", "settings.yml", "--dry-run").exit_code == 0
    Path("settings.yaml").symlink_to("nowhere")
    done = invoke("generate")
    assert done.exit_code == 2
    assert "settings.yaml: No such file or directory" in done.output
    assert not (directory / "bundle").exists()


@pytest.mark.parametrize("name", ["a b", "$HOME", "~", "it's", "-leading", "a;b", "plain"])
def test_the_card_can_be_typed_as_it_is(directory: Path, name: str) -> None:
    """A shell that is given the card's `cd` ends in the bundle."""
    done = invoke("generate", f"--output={name}/bundle")
    command = done.output.partition("Next:  ")[2].partition(" && docker")[0]
    shell = subprocess.run(
        ["/bin/sh", "-c", f"{command} && pwd"], capture_output=True, text=True, check=False
    )
    assert shell.stdout == f"{directory / name / 'bundle'}\n", shell.stderr

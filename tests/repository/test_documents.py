"""What the documents say is true."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel

from synapse_bundle.cli import main
from synapse_bundle.credentials import generated
from synapse_bundle.settings.model import UNITS, Settings
from tests.support.pages import read_commands
from tests.support.terminal import open_checkout


def iterate_keys(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return every key of the settings with its default."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        choices = (field.annotation, *getattr(field.annotation, "__args__", ()))
        inner = [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]
        found |= (
            iterate_keys(inner[0], f"{prefix}{name}.") if inner else {prefix + name: field.default}
        )
    return found


def test_settings_document_has_every_key_and_default(repository: Path) -> None:
    """docs/settings.md names each key once, with the default that holds."""
    rows = dict(
        re.findall(r"(?m)^\| `([\w.]+)` \| (.+?) \|", (repository / "docs/settings.md").read_text())
    )
    keys = iterate_keys(Settings)
    assert set(rows) == set(keys)
    for key, default in keys.items():
        if isinstance(default, bool):
            assert rows[key] == ("`yes`" if default else "`no`"), key
        elif isinstance(default, int):
            sizes = {f"{default // unit}{name}" for name, unit in UNITS.items() if default >= unit}
            assert rows[key].strip("`") in {str(default), *sizes}, key
        elif isinstance(default, str):
            assert rows[key] == f"`{default}`", key
        elif key != "homeserver" and key != "tunnel.subnet":
            assert rows[key] == "none", key


def test_architecture_document_names_every_module(repository: Path) -> None:
    """Each module of both packages is in one of the tables, once."""
    text = (repository / "docs/architecture.md").read_text().partition("## Every module")[2]
    for package in ("generator/synapse_bundle", "images/helper/bundle_helper"):
        folder = repository / package
        modules = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.py")}
        cloudflare = {name for name in modules if name.startswith("cloudflare/")}
        for part, group in (("", modules - cloudflare), ("/cloudflare", cloudflare)):
            table = text.partition(f"`{package}{part}`")[2].partition("\n\n`")[0]
            named = re.findall(r"(?m)^\| `([\w/]+)` \|", table)
            wanted = {name.removeprefix("cloudflare/") for name in group}
            assert sorted(named) == sorted(n for n in wanted if not n.endswith("__init__"))


def test_security_document_names_every_secret(repository: Path) -> None:
    """The table of secrets is complete."""
    text = (repository / "docs/security.md").read_text()
    table = text.partition("| file |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([\w.]+)`", table.replace("`up -d`", "")))
    assert set(generated.CHECKS) | {"tunnel.json", "synapse.yaml"} <= named


def test_documented_commands_exist(repository: Path) -> None:
    """Each `make X` and `synapse-bundle X --option` in the documents is real."""
    targets = set(re.findall(r"(?m)^([a-z]+):", (repository / "Makefile").read_text()))
    for path in [
        repository / "README.md",
        repository / "CONTRIBUTING.md",
        *(repository / "docs").glob("*.md"),
    ]:
        text = path.read_text()
        for target in re.findall(r"(?:`|^    |&& )make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"
        for line in re.findall(r"`synapse-bundle ([a-z][^`]*)`", text):
            words = shlex.split(line)
            command: click.Command | None = main
            while isinstance(command, click.Group) and words and "|" not in words[0]:
                command = command.get_command(click.Context(command), words.pop(0))
            assert command, f"{path.name}: {line}"
            options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
            assert {w for w in words if w.startswith("--")} <= options, f"{path.name}: {line}"


@pytest.mark.parametrize(
    ("page", "heading", "typed", "runs"),
    [
        ("backup.md", "", "make drill", "drill"),
        ("backup.md", "Drill", "make drill SET=...", "drill ..."),
        ("packing.md", "", "make pack", "pack bundle.tar"),
        ("packing.md", "", "make pack FILE=/media/stick/home.tar", "pack /media/stick/home.tar"),
        ("packing.md", "", "make pack BACKUPS=yes", "pack bundle.tar --with-backups"),
        ("packing.md", "", "make unpack", "unpack bundle.tar"),
    ],
)
def test_the_other_form_of_a_command(
    tmp_path: Path, page: str, heading: str, typed: str, runs: str
) -> None:
    """What `make` runs is the program, for the bundle of the checkout."""
    assert typed in read_commands(page, heading)
    printed = open_checkout(tmp_path / "checkout").type(typed.replace("make", "make --dry-run", 1))
    program, *words = shlex.split(printed)
    assert program == ".venv/bin/synapse-bundle"
    assert sorted(words) == sorted([*runs.split(), "--output", "bundle"])


def iterate_commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield every command, those of groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield name, command
        if isinstance(command, click.Group):
            yield from iterate_commands(command)


def test_every_command_and_option_has_help() -> None:
    """`--help` explains everything there is."""
    for name, command in iterate_commands(main):
        assert command.help, name
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"


def test_links_between_documents_lead_somewhere(repository: Path) -> None:
    """No relative link is dead."""
    for path in [
        repository / "README.md",
        repository / "CONTRIBUTING.md",
        *(repository / "docs").glob("*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_card_in_the_readme_is_the_real_one(repository: Path) -> None:
    """The README shows what the command prints."""
    from synapse_bundle import next_steps

    shown = (repository / "README.md").read_text()
    real = next_steps.write_sign_in(Settings(), repository / "bundle", repository)
    for line in real.splitlines():
        assert f"    {line}" in shown, line


def test_root_compose_file_is_the_bundles_project(repository: Path) -> None:
    """`docker compose` at the root and in bundle/ is one project, overrides included."""
    root = yaml.safe_load((repository / "compose.yaml").read_text())
    assert root["name"] == Settings().project
    assert root["include"] == [{"path": ["bundle/compose.yaml", "bundle/compose.override.yaml"]}]

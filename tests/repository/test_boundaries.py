"""The repository's own laws: who may import what, how large things get, what is never written."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("generator/synapse_bundle", "images/helper/bundle_helper")
# One module for each door to the outside; the rest of the generator is plain Python.
OWNERS = {
    "jinja2": {"rendering"},
    "pydantic": {"certificates", "discovery", "loading", "section", "settings", "tunnel"},
    "python_on_whales": {"engine"},
    "psutil": {"engine"},
    "cryptography": {"authority", "credentials"},
    "subprocess": {"engine"},
    "click": {"cli", "errors", "generation", "prompt"},
    "yaml": {"document", "planning"},
}
# What the generator may not import before it is needed: each costs as much as a whole run.
LAZY = {"engine", "authority"}


def iterate_modules(repository: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of both packages, parsed."""
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def name_imports(tree: ast.AST) -> set[str]:
    """Return the top-level names of all absolute imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_each_library_has_one_owner(repository: Path) -> None:
    """Only the named modules of the generator import what reaches outside."""
    for path, tree in iterate_modules(repository):
        if path.parts[-2] == "synapse_bundle":
            for library in name_imports(tree) & set(OWNERS):
                assert path.stem in OWNERS[library], f"{path.name} imports {library}"


def test_costly_modules_are_imported_when_needed(repository: Path) -> None:
    """No module imports Docker's client or the authority at its top."""
    for path, tree in iterate_modules(repository):
        if path.parts[-2] == "synapse_bundle":
            tops = {
                alias.name
                for node in tree.body
                if isinstance(node, ast.ImportFrom) and node.level == 1 and not node.module
                for alias in node.names
            }
            assert not tops & LAZY, path.name


def test_only_its_own_command_knows_cloudflare(repository: Path) -> None:
    """The rest of the generator works offline; of Cloudflare's modules one alone has the network."""
    for path, tree in iterate_modules(repository):
        inside = path.parent.name == "cloudflare"
        assert "httpx" not in name_imports(tree) or (inside and path.stem == "session"), path
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and not inside and node.level:
                assert "cloudflare" not in f"{node.module} {[a.name for a in node.names]}", path


def test_the_two_packages_do_not_know_each_other(repository: Path) -> None:
    """Generator and helper live on different machines; a contract test joins them."""
    for path, tree in iterate_modules(repository):
        assert not name_imports(tree) & {"bundle_helper", "synapse_bundle"}, path


def test_modules_and_functions_stay_small(repository: Path) -> None:
    """No module beyond 250 lines, no function beyond 40, no drawer."""
    for path, tree in iterate_modules(repository):
        assert len(path.read_text().splitlines()) <= 250, path
        assert path.stem not in {"utils", "helpers", "common", "misc"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name}"


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """Every text file git knows, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return [
        repository / name for name in names.stdout.splitlines() if (repository / name).is_file()
    ]


def test_no_two_tests_of_a_module_share_a_name(repository: Path) -> None:
    """The first of two tests with one name would never run."""
    for path in (repository / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
        assert len(names) == len(set(names)), path


def test_every_module_of_tests_has_tests(repository: Path) -> None:
    """A file named test_* without a test in it would pass for ever."""
    for path in (repository / "tests").rglob("test_*.py"):
        assert "def test_" in path.read_text(), path


def test_nothing_is_left_for_later(tracked: list[Path]) -> None:
    """No file carries a note to finish it some other day."""
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
    for path in tracked:
        text = path.read_text(encoding="utf-8", errors="ignore")
        found = [mark for mark in marks if f"{mark}:" in text or f"# {mark}" in text]
        assert not found, path

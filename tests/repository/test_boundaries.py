"""The repository's own laws, beside those of ruff and import-linter in pyproject.toml."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("generator/synapse_bundle", "images/helper/bundle_helper")
GENERATOR = Path(PACKAGES[0])
# One module for each door to the outside; the rest of the generator is plain Python.
OWNERS = {
    "jinja2": {"rendering"},
    "pydantic": {
        f"settings.{name}"
        for name in (
            "backup",
            "block",
            "certificates",
            "database",
            "kubernetes",
            "loading",
            "model",
            "names",
            "repository",
            "tunnel_settings",
            "updates",
            "well_known",
        )
    },
    "python_on_whales": {"engine"},
    "psutil": {"engine"},
    "cryptography": {"credentials.authority", "credentials.signing_keys"},
    "subprocess": {"docker_command", "engine", "image_transfer", "drill_project", "import_project"}
    | {"rotation.bundle_containers", "retirement.server_containers", "succession"}
    | {f"updating.{name}" for name in ("compose_commands", "service_starts", "update_engine")},
    "click": {"cli", "errors", "options", "pipeline", "secret_input"}
    | {
        f"commands.{name}"
        for name in (
            *("check", "drill", "generate", "import_server", "init", "kubernetes", "pack"),
            *("retire", "rotate", "tunnel", "unpack", "up", "update", "upgrade_database"),
        )
    },
    "yaml": {"planning", "rotation.renewal", "rotation.restarts", "settings.yaml_parser"}
    | {f"kubernetes.{name}" for name in ("__main__", "cluster_file", "conversion")},
}


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


def iterate_offline(repository: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the generator that works offline, by its name in the package."""
    for path, tree in iterate_modules(repository):
        if path.is_relative_to(repository / GENERATOR) and "cloudflare" not in str(path):
            relative = path.relative_to(repository / GENERATOR)
            yield ".".join(relative.with_suffix("").parts), tree


def test_each_library_has_one_owner(repository: Path) -> None:
    """Only the named modules of the generator import what reaches outside."""
    for name, tree in iterate_offline(repository):
        for library in name_imports(tree) & set(OWNERS):
            assert name in OWNERS[library], f"{name} imports {library}"


def test_one_module_has_the_network(repository: Path) -> None:
    """The rest of the generator works offline."""
    importers = [
        path for path, tree in iterate_modules(repository) if "httpx" in name_imports(tree)
    ]
    assert [path.parent.name for path in importers] == ["cloudflare"]


def test_modules_and_functions_stay_small(repository: Path) -> None:
    """No module beyond 250 lines, no function beyond 40, no drawer."""
    for path, tree in iterate_modules(repository):
        assert len(path.read_text().splitlines()) <= 250, path
        assert path.stem not in {"utils", "helpers", "common", "misc"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name}"


def test_one_name_is_one_module(repository: Path) -> None:
    """No module's name occurs twice in a package; a command may have that of what it calls."""
    for package in PACKAGES:
        names = Counter(
            path.stem
            for path in (repository / package).rglob("*.py")
            if path.parent.name != "commands" and not path.stem.startswith("__")
        )
        assert names.most_common(1)[0][1] == 1, names.most_common(3)


def test_one_name_is_one_class(repository: Path) -> None:
    """No class's name occurs twice in the two packages."""
    names = Counter(
        node.name
        for _, tree in iterate_modules(repository)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
    assert names.most_common(1)[0][1] == 1, names.most_common(3)


def test_every_module_of_tests_has_tests(repository: Path) -> None:
    """A file named test_* without a test in it would pass for ever."""
    for path in (repository / "tests").rglob("test_*.py"):
        assert "def test_" in path.read_text(), path

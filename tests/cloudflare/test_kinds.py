"""The kinds of things: what is theirs alone, and that nothing else has to know them."""

from __future__ import annotations

import ast
from pathlib import Path

from synapse_bundle.cloudflare.kinds.registry import FIXES, KINDS, LEAVABLE, REPLACEABLE


def test_names_of_kinds_are_unique() -> None:
    """A type of an entry, a resource and a fix belong to one kind each."""
    types = [type_ for kind in KINDS for type_ in kind.types]
    for names in (types, REPLACEABLE, LEAVABLE, FIXES):
        assert len(set(names)) == len(names)
    assert set(LEAVABLE) <= set(REPLACEABLE)


def test_a_new_kind_is_one_module_and_one_registration(repository: Path) -> None:
    """Outside the kinds, only the registry is imported; the command asks for the DNS token too."""
    package = repository / "generator/synapse_bundle/cloudflare"
    for path in package.glob("*.py"):
        imported = {
            f"{node.module}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.level and node.module
        }
        allowed = {"kinds.registry"} | ({"kinds.dns_token"} if path.stem == "commands" else set())
        assert {name for name in imported if name.startswith("kinds")} <= allowed, path

"""The YAML of a settings file: plain text and whole numbers in mappings, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

_STRING: Final = "tag:yaml.org,2002:str"
_INTEGER: Final = "tag:yaml.org,2002:int"
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_READ_AS: Final = {
    "bool": "a boolean",
    "timestamp": "a date",
    "binary": "binary data",
}
# Levels of mappings and lists; the settings have three, and the parser takes a frame for each.
_DEEPEST: Final = 20

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake, at a line (from 1; 0 is the whole file) and a key."""

    line: int
    path: KeyPath
    reason: str

    def __str__(self) -> str:
        """Show as `line 3: ports.https: must be …`."""
        where = [f"line {self.line}"] if self.line else []
        key = [".".join(str(part) for part in self.path)] if self.path else []
        return ": ".join([*where, *key, self.reason])


@dataclass(kw_only=True)
class Document:
    """A parsed file: plain values, the line of every key, and the problems that YAML itself has."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    numbers: frozenset[KeyPath] = frozenset()
    switches: frozenset[KeyPath] = frozenset()


def parse_document(
    text: str, numbers: frozenset[KeyPath], switches: frozenset[KeyPath]
) -> Document:
    """Read text and whole numbers in mappings, and no other YAML.

    `numbers` are the keys that take a number, `switches` those that take yes or no.
    """
    document = Document(numbers=numbers, switches=switches)
    root = None
    try:
        # Before composing, which needs memory for every alias and a stack frame for every level.
        unfit = _find_unfit(text)
        root = None if unfit else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        unfit = _describe_syntax(error, text)
    if unfit:
        document.problems.append(unfit)
        return document
    if isinstance(root, yaml.MappingNode):
        document.values = _read_mapping(root, (), document)
    elif root is not None:
        document.problems.append(
            Problem(
                line=1, path=(), reason="must be lines of `key: value`; see: synapse-bundle init"
            )
        )
    return document


def _find_unfit(text: str) -> Problem | None:
    """Return the first use of a feature that is not allowed here, or None; raises YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if getattr(event, "anchor", None):
            reason = "anchors and aliases (&, *) are not used here"
            return Problem(line=line, path=(), reason=reason)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return Problem(
                line=line, path=(), reason="is nested deeper than any key of the settings"
            )
    return None


def _describe_syntax(error: yaml.YAMLError, text: str) -> Problem:
    """Turn a parser error into a problem with its line."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        reason = f"holds the control character U+{int(error.character):04X}; delete it"
        return Problem(line=line, path=(), reason=reason)
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    line = mark.line + 1 if mark else 0
    return Problem(line=line, path=(), reason=f"is not YAML: {reason} (indent with spaces)")


def _read_mapping(node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, Any]:
    """Return a mapping's values, noting lines, duplicate keys and values of no usable type."""
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        where = (*path, key)
        line = key_node.start_mark.line + 1
        if key in values:
            first = document.lines[where]
            document.problems.append(
                Problem(line=line, path=where, reason=f"duplicate key (first on line {first})")
            )
            continue
        document.lines[where] = line
        values[key] = _read_value(value_node, where, document)
    return values


def _read_value(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    """Return one value; what YAML would silently convert becomes a problem."""
    if isinstance(node, yaml.MappingNode):
        return _read_mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_read_value(item, (*path, i), document) for i, item in enumerate(node.value)]
    if node.tag == _STRING:
        return node.value
    if node.tag == _INTEGER and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", node.value):
        return int(node.value)
    if node.tag == _BOOLEAN and path in document.switches:
        return yaml.safe_load(node.value)
    line = node.start_mark.line + 1
    reason = _describe_surprise(node, number=path in document.numbers)
    document.problems.append(Problem(line=line, path=path, reason=reason))
    return None


def _describe_surprise(node: yaml.Node, *, number: bool) -> str:
    """Return how YAML reads an unquoted value, and how to write what was meant."""
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return "has no value; give it one or delete the line"
    if kind == "int":
        value = yaml.safe_load(node.value)
        if ":" in node.value and not number:
            return f'YAML reads {node.value} as the number {value}; write "{node.value}"'
        quotes = "" if number else " or in quotes"
        return f"YAML reads {node.value} as the number {value}; write it plainly{quotes}"
    if number and kind in {*_READ_AS, "float"}:
        return f"should be a whole number, not {node.value}"
    if kind == "float":
        fraction = f"YAML reads {node.value} as a number with a fraction"
        return f"{fraction}; write a whole number, or text in quotes"
    if kind in _READ_AS:
        return f'YAML reads {node.value} as {_READ_AS[kind]}, not as text; write "{node.value}"'
    return "has a YAML tag, which is not used here"

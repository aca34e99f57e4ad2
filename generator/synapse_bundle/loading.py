"""settings.yaml -> Settings, or one message that lists every problem with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from .errors import SettingsError
from .settings import Settings

# A settings file is a page of text; what is larger is another file, or an attack on the parser.
MAX_BYTES: Final = 64 * 1024
STRING: Final = "tag:yaml.org,2002:str"
INTEGER: Final = "tag:yaml.org,2002:int"
READ_AS: Final = {
    "bool": "a truth value,",
    "float": "a number with a fraction,",
    "timestamp": "a date,",
    "binary": "binary data,",
}

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to put right, at a line (from 1; 0 is the whole file) and a key."""

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
    """A parsed file: plain values, the line of every key, and what YAML itself made wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(path: Path | None) -> Settings:
    """Return the settings in a file, or the trial's defaults where there is none (None).

    Raises SettingsError that lists all problems at once.
    """
    if path is None:
        return Settings()
    return parse(read(path), path.name)


def read(path: Path) -> str:
    """Return the text of a settings file; raises SettingsError where it is no text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; write one with: synapse-bundle init"
        ) from error
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path} is larger than {MAX_BYTES // 1024} KiB: not a settings file")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise SettingsError(f"{path} starts with a byte order mark; save it as plain UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error


def parse(text: str, name: str) -> Settings:
    """Return the settings in a text; `name` is what to call the file in a message.

    Raises SettingsError that lists all problems at once.
    """
    document = parse_document(text)
    settings, wrong = validate(document)
    problems = sorted({*document.problems, *wrong}, key=lambda p: (p.line, str(p)))
    if problems or settings is None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise SettingsError(f"{name} has {count}; nothing was written.", map(str, problems))
    return settings


def parse_document(text: str) -> Document:
    """Read YAML the way a person means it: text and whole numbers in mappings, nothing clever."""
    document = Document()
    try:
        # Refused before composing: nested aliases grow without bound.
        if any(getattr(e, "anchor", None) for e in yaml.parse(text, Loader=yaml.SafeLoader)):
            document.problems.append(
                Problem(line=0, path=(), reason="anchors and aliases (&, *) are not used here")
            )
            return document
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        document.problems.append(describe_syntax(error))
        return document
    if isinstance(root, yaml.MappingNode):
        document.values = read_mapping(root, (), document)
    elif root is not None:
        document.problems.append(
            Problem(
                line=1, path=(), reason="must be lines of `key: value`; see: synapse-bundle init"
            )
        )
    return document


def describe_syntax(error: yaml.YAMLError) -> Problem:
    """Turn the parser's complaint into a problem with its line."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    line = mark.line + 1 if mark else 0
    return Problem(line=line, path=(), reason=f"is not YAML: {reason} (indent with spaces)")


def read_mapping(node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, Any]:
    """Return a mapping's values, noting lines, duplicate keys and values of no usable type."""
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        where = (*path, key)
        line = key_node.start_mark.line + 1
        if key in values:
            first = document.lines[where]
            document.problems.append(
                Problem(line=line, path=where, reason=f"stands twice (first in line {first})")
            )
            continue
        document.lines[where] = line
        values[key] = read_value(value_node, where, document)
    return values


def read_value(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    """Return one value; what YAML would quietly turn into something else becomes a problem."""
    if isinstance(node, yaml.MappingNode):
        return read_mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [read_value(item, (*path, i), document) for i, item in enumerate(node.value)]
    if node.tag == STRING:
        return node.value
    if node.tag == INTEGER and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", node.value):
        return int(node.value)
    line = node.start_mark.line + 1
    document.problems.append(Problem(line=line, path=path, reason=describe_surprise(node)))
    return None


def describe_surprise(node: yaml.Node) -> str:
    """Say what YAML makes of an unquoted value, and how to write what was meant."""
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return "has no value; give it one or delete the line"
    if kind == "int":
        value = yaml.safe_load(node.value)
        return f"YAML reads {node.value} as the number {value}; write it plainly or in quotes"
    if kind in READ_AS:
        return f'YAML reads {node.value} as {READ_AS[kind]} not as text; write "{node.value}"'
    return "has a YAML tag, which is not used here"


def validate(document: Document) -> tuple[Settings | None, list[Problem]]:
    """Return the settings, or what keeps the values from being settings."""
    try:
        return Settings.model_validate(document.values), []
    except ValidationError as error:
        known = {problem.path for problem in document.problems}
        # A default that depends on a wrong value is wrong only because of it.
        errors = [e for e in error.errors(include_url=False) if "default_factory" not in e["type"]]
        found = [describe_error(dict(each), document) for each in errors]
        return None, [problem for problem in found if problem.path not in known]


def describe_error(error: dict[str, Any], document: Document) -> Problem:
    """Turn one pydantic error into a problem in the user's vocabulary."""
    path: KeyPath = error["loc"]
    place = path
    while place and place not in document.lines:
        place = place[:-1]
    shown = path if error["type"] == "missing" or not place else place
    return Problem(line=document.lines.get(place, 0), path=shown, reason=describe_reason(error))


def describe_reason(error: dict[str, Any]) -> str:
    """Say what is wrong with a value, without repeating pydantic's own vocabulary."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "value_error":
            shown = f"{value!r} " if isinstance(value, str) and value else ""
            return f"{shown}{context['error']}"
        case "extra_forbidden":
            return f"unknown key{suggest(error['loc'])}"
        case "missing":
            return "is required"
        case "string_type":
            return f"should be text, not {describe_type(value)}"
        case "int_type":
            return f"should be a whole number, not {describe_type(value)}"
        case "model_type" | "model_attributes_type":
            return f"should be a block of indented keys, not {describe_type(value)}"
        case "literal_error":
            return f"{value!r} is not known; possible is {context['expected']}"
        case "greater_than_equal" | "less_than_equal":
            return f"must be between 1 and 65535, not {value}"
    return str(error["msg"])


def describe_type(value: object) -> str:
    """Name a value's type for somebody who does not know Python."""
    names = {str: "text", int: "a number", dict: "a block of keys", list: "a list"}
    return names.get(type(value), "nothing")


def suggest(path: KeyPath) -> str:
    """Return `` (did you mean …?)`` for an unknown key, or nothing where none is near."""
    key = str(path[-1])
    near = difflib.get_close_matches(key, list(iterate_keys(path[:-1])), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def iterate_keys(path: KeyPath) -> Iterator[str]:
    """Yield the keys that are known in the mapping at a path."""
    model: Any = Settings
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        choices = (annotation, *getattr(annotation, "__args__", ()))
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    yield from model.model_fields

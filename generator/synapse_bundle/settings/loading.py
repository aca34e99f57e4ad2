"""settings.yaml -> Settings, or one message that lists every problem with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from .. import user_files
from ..errors import SettingsError
from .backup import KeepSettings
from .model import PortSettings, Settings
from .yaml_parser import Document, KeyPath, Problem, parse_document

# A settings file is a page of text; what is larger is another file, or an attack on the parser.
_MAX_BYTES: Final = 64 * 1024
_NUMBERS: Final = frozenset(
    {
        *(("ports", name) for name in PortSettings.model_fields),
        *(("backup", "keep", name) for name in KeepSettings.model_fields),
        ("backup", "verify"),
    }
)
_SWITCHES: Final = frozenset({("backup", "append_only"), ("backup", "remote_media")})


def load(path: Path | None) -> Settings:
    """Return the settings in a file, or the trial's defaults where there is none (None).

    Raises SettingsError that lists all problems at once.
    """
    if path is None:
        return Settings()
    return parse(_read(path), path.name)


def _read(path: Path) -> str:
    """Return the text of a settings file; raises SettingsError where it is not text."""
    try:
        data = user_files.read(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; write one with: synapse-bundle init"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
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
    document = parse_document(text, _NUMBERS, _SWITCHES)
    settings, wrong = validate(document)
    problems = sorted({*document.problems, *wrong}, key=lambda p: (p.line, str(p)))
    if problems or settings is None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise SettingsError(f"{name} has {count}; nothing was written.", map(str, problems))
    return settings


def validate(document: Document) -> tuple[Settings | None, list[Problem]]:
    """Return the settings, or what keeps the values from being settings."""
    try:
        return Settings.model_validate(document.values), []
    except ValidationError as error:
        known = {problem.path for problem in document.problems}
        # A default that depends on a wrong value is wrong only because of it.
        errors = [e for e in error.errors(include_url=False) if "default_factory" not in e["type"]]
        found = [_describe_error(dict(each), document) for each in errors]
        return None, [problem for problem in found if problem.path not in known]


def _describe_error(error: dict[str, Any], document: Document) -> Problem:
    """Turn one pydantic error into a problem in the user's vocabulary."""
    path: KeyPath = error["loc"]
    place = path
    while place and place not in document.lines:
        place = place[:-1]
    shown = path if error["type"] == "missing" or not place else place
    return Problem(line=document.lines.get(place, 0), path=shown, reason=_describe_reason(error))


def _describe_reason(error: dict[str, Any]) -> str:
    """Return what is wrong with a value, in words other than pydantic's."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "value_error":
            shown = f"{value!r} " if isinstance(value, str) and value else ""
            return f"{shown}{context['error']}"
        case "extra_forbidden":
            return f"unknown key{_suggest(error['loc'])}"
        case "missing":
            return "is required"
        case "string_type":
            return f"should be text, not {_describe_type(value)}"
        case "int_type":
            return f"should be a whole number, not {_describe_type(value)}"
        case "bool_type":
            return f"should be yes or no, not {_describe_type(value)}"
        case "model_type" | "model_attributes_type":
            return f"should be a block of indented keys, not {_describe_type(value)}"
        case "literal_error":
            return f"{value!r} is not known; possible values are {context['expected']}"
        case "greater_than_equal" | "less_than_equal":
            return f"must be between 1 and 65535, not {value}"
    return str(error["msg"])


def _describe_type(value: object) -> str:
    """Name a value's type in plain words."""
    names = {
        str: "text",
        int: "a number",
        bool: "yes or no",
        dict: "a block of keys",
        list: "a list",
    }
    return names.get(type(value), "nothing")


def _suggest(path: KeyPath) -> str:
    """Return `` (did you mean …?)`` for an unknown key, or nothing where none is near."""
    key = str(path[-1])
    near = difflib.get_close_matches(key, list(_iterate_keys(path[:-1])), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _iterate_keys(path: KeyPath) -> Iterator[str]:
    """Yield the keys that are known in the mapping at a path."""
    model: Any = Settings
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        choices = (annotation, *getattr(annotation, "__args__", ()))
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    yield from model.model_fields

"""Templates -> text. The template tree is the output tree: `x.j2` becomes `x`, the rest is copied."""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import jinja2
from jinja2 import bccache

from .errors import BundleError

SUFFIX: Final = ".j2"


class Renderer:
    """Renders one template tree with one context; an undefined name is an error with an address."""

    def __init__(self, root: Path, context: Mapping[str, Any]) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(root),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701  # configuration files, not web pages
            bytecode_cache=_open_cache(),
        )
        # Jinja's own tojson escapes for HTML; these files are read by people.
        self._environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._context = context

    def render(self, path: PurePosixPath, **extra: Any) -> str:
        """Return a template's text; raises BundleError naming template and line."""
        try:
            return self._environment.get_template(str(path)).render(self._context, **extra)
        except jinja2.TemplateSyntaxError as error:
            raise BundleError(f"{error.name}:{error.lineno}: {error.message}") from error
        except jinja2.UndefinedError as error:
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            raise BundleError(f"{path}:{line}: {error.message}") from error


class Cache(bccache.FileSystemBytecodeCache):
    """A cache of compiled templates that may fail to write."""

    def dump_bytecode(self, bucket: bccache.Bucket) -> None:
        """Keep a compiled template if it can be written."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _open_cache() -> Cache | None:
    """Return the cache of compiled templates, or None where there cannot be one.

    Compiling the templates takes longer than the rest of a run.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # there may be none
    base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    directory = base / "synapse-bundle"
    # A service's user may have a home that does not exist and must not be created.
    if not base.is_absolute() or (base.parent == home and not home.is_dir()):
        return None
    try:
        # Without HOME and without an entry for the user, `~` stays as it is.
        if not directory.is_absolute():
            return None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Compiled templates are code: another user must not be able to plant any.
        trusted = directory.stat().st_uid == os.getuid() and os.access(directory, os.W_OK)
    except OSError:
        return None
    return Cache(str(directory)) if trusted else None

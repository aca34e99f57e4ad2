"""The homeserver.yaml of another Synapse, and the files that it names, wherever its folder is mounted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = "homeserver.yaml"
# The volume of Synapse's own image; the folder `synapse` of matrix-docker-ansible-deploy, and what is above it.
_PLACES: Final = (".", "config", "synapse/config")
_STORAGE: Final = "storage"


@dataclass(frozen=True, kw_only=True)
class ForeignConfig:
    """What homeserver.yaml says; `roots` are the folders in which what it names may be."""

    document: Mapping[str, Any]
    roots: tuple[Path, ...]

    @property
    def server_name(self) -> str:
        """The Matrix server name, "" where there is none."""
        return str(self.document.get("server_name") or "")

    @property
    def uses_sqlite(self) -> bool:
        """Whether the database is a file; Synapse's default."""
        return bool(self._database.get("name", "sqlite3") == "sqlite3")

    @property
    def sqlite_name(self) -> str:
        """How homeserver.yaml calls the file of the database."""
        arguments = self._database.get("args") or {}
        return str(arguments.get("database") or "homeserver.db")

    @property
    def media_name(self) -> str:
        """How homeserver.yaml calls the folder of the files."""
        return str(self.document.get("media_store_path") or "media_store")

    @property
    def media(self) -> Path | None:
        """The folder of the files, None where it is not here."""
        found = self.find(self.media_name)
        return found if found and found.is_dir() else None

    @property
    def sqlite(self) -> Path | None:
        """The file of the database, None where it is not here."""
        found = self.find(self.sqlite_name)
        return found if found and found.is_file() else None

    def find(self, named: str) -> Path | None:
        """Return what a path of the other server is here: in its container it was mounted elsewhere."""
        parts = [part for part in PurePosixPath(named).parts if part != "/"]
        if ".." in parts:
            return None
        for start in range(len(parts)):
            for root in self.roots:
                path = root.joinpath(*parts[start:])
                if path.exists():
                    return path
        return None

    def read_secret(self, key: str) -> str:
        """Return a value that stands in homeserver.yaml or in a file that it names; "" without one.

        HelperError if that file is not here.
        """
        value, named = self.document.get(key), self.document.get(f"{key}_path")
        if value or not named:
            return str(value or "")
        path = self.find(str(named))
        try:
            return path.read_text(encoding="utf-8").strip() if path else self._miss(key, named)
        except (OSError, UnicodeDecodeError):
            return self._miss(key, named)

    def _miss(self, key: str, named: object) -> str:
        raise HelperError(
            f"{_NAME}: {key}_path names {named}, which cannot be read in this folder. Nothing was changed."
            " Copy the file beside it, then run this again."
        )

    @property
    def _database(self) -> Mapping[str, Any]:
        found = self.document.get("database")
        return found if isinstance(found, dict) else {}


def read_config(source: Path) -> ForeignConfig:
    """Return the configuration in a folder; HelperError if it holds none that can be read."""
    path = next(
        (source / place / _NAME for place in _PLACES if (source / place / _NAME).is_file()), None
    )
    if path is None:
        raise HelperError(
            f"there is no {_NAME} in it, nor in {' or '.join(_PLACES[1:])}. Nothing was changed. Name the"
            f" folder or the volume that holds {_NAME} and the files of the server."
        )
    try:
        document = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise HelperError(f"{_NAME} cannot be read{place}. Nothing was changed.") from error
    if not isinstance(document, dict):
        raise HelperError(f"{_NAME} holds no settings. Nothing was changed.")
    above = [path.parent.parent] if path.parent.resolve() != source.resolve() else []
    return ForeignConfig(
        document=document,
        roots=(path.parent, *above, *(folder / _STORAGE for folder in above)),
    )

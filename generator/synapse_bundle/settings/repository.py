"""Where backups are kept: a folder, or a place that restic reaches itself."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

Kind = Literal["folder", "s3", "sftp", "rest"]
_REMOTE: Final = ("s3", "sftp", "rest")
_HOST: Final = r"(\[[0-9a-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)"
_PORT: Final = r"(:[0-9]{1,5})?"
_PATH: Final = r"/[A-Za-z0-9._~+=,/-]*"
# An option of ssh starts with a hyphen.
_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
# restic's documentation, "Preparing a new repository".
_FORMS: Final[dict[str, tuple[str, str]]] = {
    "s3": (
        rf"s3:https?://{_HOST}{_PORT}/[A-Za-z0-9][A-Za-z0-9._-]*({_PATH})?",
        "s3:https://s3.example.org/bucket/path",
    ),
    "sftp": (
        rf"sftp:({_USER}@{_HOST}:[A-Za-z0-9._~/][A-Za-z0-9._~+=,/-]*|//{_USER}@{_HOST}{_PORT}{_PATH})",
        "sftp:user@backup.example.org:/path",
    ),
    "rest": (rf"rest:https?://{_HOST}{_PORT}({_PATH})?", "rest:https://backup.example.org/path"),
}
# Everything at the top of a bundle; a name with a dot before it is the bundle's too.
_OWN_NAMES: Final = frozenset(
    {
        *("apache", "cloudflared", "health", "images", "postgres", "secrets", "synapse", "worker"),
        *("README.md", "compose.override.yaml", "compose.yaml", "drill.yaml"),
    }
)


def tell_kind(repository: str) -> Kind:
    """Return what kind of place a repository is."""
    return next((kind for kind in _REMOTE if repository.startswith(f"{kind}:")), "folder")


def name_ssh_host(repository: str) -> tuple[str, str]:
    """Return the host of an sftp repository, an IPv6 address without brackets, and its port or ""."""
    place = repository.removeprefix("sftp:")
    if place.startswith("//"):
        match = re.match(rf"//{_USER}@(?P<host>{_HOST})(?P<port>{_PORT})/", place)
    else:
        match = re.match(rf"{_USER}@(?P<host>{_HOST})(?P<port>):", place)
    if match is None:
        raise ValueError(f"{repository} is not an sftp repository")
    return match["host"].strip("[]"), match["port"].removeprefix(":")


def _check_repository(text: str) -> str:
    if re.search(r"//[^/]*:[^/]*@|^(s3|rest):[^/]*//[^/]*@|^sftp:[^/@]*:[^/]*@", text):
        # Not a ValueError, whose message would show the text.
        raise PydanticCustomError(
            "secret_in_text",
            "holds a user name or password; put them into the file that `credentials` names"
            " (for SFTP use a key)",
        )
    kind = tell_kind(text)
    return _check_folder(text) if kind == "folder" else _check_remote(kind, text)


def _check_remote(kind: str, text: str) -> str:
    form, example = _FORMS[kind]
    if not re.fullmatch(form, text):
        raise ValueError(f"is not a repository of this kind; use for example {example}")
    if ".." in re.split(r"[/:]", text):
        raise ValueError("has `..` in its path; write the path without it")
    return text


def _check_folder(text: str) -> str:
    """Return a folder's path in its plain form: absolute, or with `./` from the bundle."""
    if not text.startswith(("/", "./")) or not text.isprintable():
        raise ValueError(
            "is not a repository; possible are a folder (./backups in the bundle,"
            " /mnt/disk/backups elsewhere), s3:https://HOST/BUCKET, sftp:USER@HOST:/PATH"
            " and rest:https://HOST/PATH"
        )
    path = PurePosixPath(text)
    if ".." in path.parts:
        raise ValueError("has `..` in its path; write the path without it")
    if path.is_absolute():
        if len(path.parts) == 1 or text.startswith("//"):
            raise ValueError("is not a folder for backups; use for example /mnt/disk/backups")
        return str(path)
    if not path.parts or path.parts[0] in _OWN_NAMES or path.parts[0].startswith("."):
        raise ValueError("is the bundle's own; use a folder of another name, such as ./backups")
    return f"./{path}"


RepositoryPlace = Annotated[str, AfterValidator(_check_repository)]

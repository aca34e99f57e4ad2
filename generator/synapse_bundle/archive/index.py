"""`index.json`, the archive's own description, and `SHA256SUMS`, which `sha256sum --check` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import SettingsError
from .members import INDEX, Member, MemberKind

_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class PackedImage:
    """What an engine says about an image: its id, and the digests of its layers."""

    id: str
    layers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ArchiveIndex:
    """What an archive holds.

    `image_store` is how the engine keeps images, on which their ids depend; `started` says whether
    the folder belongs to data in volumes, which an archive does not carry; `repositories` are the
    backup repositories that it does carry, by their paths in the folder.
    """

    version: str
    server_name: str
    project: str
    packed: str
    architecture: str
    image_store: str
    started: bool
    repositories: tuple[str, ...]
    images: Mapping[str, PackedImage]
    members: tuple[Member, ...]

    def serialize(self) -> bytes:
        """Return the text of the member."""
        document = {"format": _FORMAT, **asdict(self)}
        document["members"] = [_write_member(member) for member in self.members]
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def parse_index(content: bytes, source: str) -> ArchiveIndex:
    """Return the index of the archive `source`.

    Raises SettingsError for one of a newer format, or one that cannot be read.
    """
    try:
        document = json.loads(content)
        number, version = document.pop("format"), str(document["version"])
        if number > _FORMAT:
            raise SettingsError(
                f"{source} was packed by synapse-bundle {version}, which is newer; upgrade"
                " synapse-bundle"
            )
        images = document.pop("images")
        members = document.pop("members")
        repositories = tuple(document.pop("repositories"))
        return ArchiveIndex(
            repositories=repositories,
            images={
                name: PackedImage(id=each["id"], layers=tuple(each["layers"]))
                for name, each in images.items()
            },
            members=tuple(_read_member(each) for each in members),
            **document,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{source}: its {INDEX} cannot be read; pack it again") from error


def _write_member(member: Member) -> dict[str, Any]:
    """Return a member without the fields that its kind does not have."""
    fields = {"name": member.name, "kind": member.kind.value, "mode": f"{member.mode:04o}"}
    if member.kind is MemberKind.LINK:
        return fields | {"target": member.target}
    if member.kind is MemberKind.DIRECTORY:
        return fields
    more = {"modified": member.modified, "size": member.size, "sha256": member.digest}
    return fields | more


def _read_member(fields: Mapping[str, Any]) -> Member:
    return Member(
        name=fields["name"],
        kind=MemberKind(fields["kind"]),
        mode=int(fields["mode"], 8),
        modified=fields.get("modified", 0),
        size=fields.get("size", 0),
        digest=fields.get("sha256", ""),
        target=fields.get("target", ""),
    )


def write_sums(members: Iterable[Member]) -> bytes:
    """Return the digests of all files as GNU's sha256sum writes them."""
    lines = []
    for member in members:
        if member.kind is MemberKind.FILE:
            escaped = member.name.replace("\\", "\\\\")
            mark = "\\" if escaped != member.name else ""
            lines.append(f"{mark}{member.digest}  {escaped}\n")
    return "".join(lines).encode()

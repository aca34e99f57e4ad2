"""Whether the old images alone lead back, or the database of a set has to come back with them. Pure.

Synapse notes in its database the oldest version of itself that still understands it: `compat_version`. One
whose SCHEMA_VERSION is lower refuses to start (element-hq/synapse, docs/development/database_schema.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SchemaVersions:
    """What an image of Synapse says of itself: the version that it makes, and the oldest that reads it."""

    newest: int
    compatible: int


def needs_data(schema: int | None, compatible: int | None) -> bool:
    """Tell whether an old Synapse refuses a database; not if one of the two is not known."""
    return schema is not None and compatible is not None and compatible > schema


def describe(*, reason: str, schema: int | None, same_synapse: bool) -> str:
    """Return what is known of the way back before the new image is here.

    `reason` is why there is no set, if there is none.
    """
    if same_synapse:
        return "The way back: by image alone; Synapse's image stays the same."
    reads = f", which reads it up to schema {schema}" if schema is not None else ""
    known = f"by image alone, as long as the new Synapse leaves the database to the old one{reads}"
    if reason:
        return f"The way back: {known}. There is no set to restore otherwise: {reason}."
    return (
        f"The way back: {known}; otherwise by restoring the set that is made now, and what is sent after"
        " it is lost. Which of the two is said when the new image is here, before it starts."
    )


def foretell(schema: int | None, coming: SchemaVersions | None, set_name: str | None) -> str:
    """Return what is known of the way back when the new image is here and has not started."""
    if schema is None or coming is None:
        return "The way back: the images do not say whether the old Synapse reads the new database."
    if not needs_data(schema, coming.compatible):
        return (
            f"The way back: by image alone; the new Synapse leaves the database to schema"
            f" {coming.compatible}, and the old one reads {schema}."
        )
    how = f"by restoring the set {set_name}" if set_name else "none"
    return (
        f"The way back: {how}; the new Synapse leaves the database to schema {coming.compatible} and"
        f" newer, and the old one only reads up to {schema}."
    )

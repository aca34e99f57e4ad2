"""The machines of the tests."""

from __future__ import annotations

from tests.helper.backup.conftest import folder_environ
from tests.helper.machine_fixtures import (
    backup_image,
    new_machine,
    old_machine,
    saved_machine,
    target,
)

__all__ = [
    "backup_image",
    "folder_environ",
    "new_machine",
    "old_machine",
    "saved_machine",
    "target",
]

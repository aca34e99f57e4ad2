"""A server with sets of its data, and a machine to restore them on."""

from __future__ import annotations

from tests.helper.machine_fixtures import backup_image, new_machine, old_machine

__all__ = ["backup_image", "new_machine", "old_machine"]

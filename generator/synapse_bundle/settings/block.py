"""What every block of the settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A mapping of the settings file: no unknown key, no conversion by guess, no later change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

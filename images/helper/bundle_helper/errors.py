"""What can go wrong in a way that a person can fix."""

from __future__ import annotations

import click


class HelperError(click.ClickException):
    """Something outside this program is wrong; the message ends with what to do next."""

    exit_code = 1


class InvalidEnvironmentError(HelperError):
    """The container's environment or its secret files are incomplete or wrong."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"the helper's environment is not usable:\n{lines}\n"
            "These values come from the bundle's compose.yaml and secrets folder; run"
            " `make generate` (or copy the whole bundle again), then `docker compose up -d`.",
        )
        self.problems = problems

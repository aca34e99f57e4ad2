"""The errors that a user sees: one class per exit code."""

from __future__ import annotations

from collections.abc import Iterable

import click


class BundleError(click.ClickException):
    """Something failed while running. Exit code 1."""

    exit_code = 1


class SettingsError(click.ClickException):
    """The input is wrong and nothing was written; every problem is listed. Exit code 2."""

    exit_code = 2

    def __init__(self, headline: str, problems: Iterable[str] = ()) -> None:
        super().__init__("\n".join([headline, *(f"  {problem}" for problem in problems)]))

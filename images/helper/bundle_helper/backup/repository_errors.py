"""What restic refuses, each as one sentence with what to type."""

from __future__ import annotations

from typing import Final

from ..errors import HelperError

_UNREADABLE: Final = 3


class RepositoryError(HelperError):
    """restic failed for a reason of its own, such as a target without room or without a network."""


class RepositoryMissingError(RepositoryError):
    """There is no repository at that place."""


class RepositoryLockedError(RepositoryError):
    """Another restic works on the repository, or was cut off there less than half an hour ago."""


class WrongPasswordError(RepositoryError):
    """The repository has another password."""


class UnreadableSourceError(RepositoryError):
    """restic made a snapshot, and some files are missing in it; `files` has each with the reason."""

    def __init__(self, files: dict[str, str], snapshot: str) -> None:
        super().__init__("\n".join(f"{path}: {reason}" for path, reason in files.items()))
        self.files = files
        self.snapshot = snapshot


def describe_refusal(code: int, name: str, said: str) -> RepositoryError:
    """Return the error that restic's exit code means for the repository the operator calls `name`.

    `said` is restic's own reason, for the codes without a meaning of their own.
    """
    known = {
        10: RepositoryMissingError(
            f"there is no repository at {name}. If a disk or a share belongs there, mount it and"
            " repeat. To start a new repository: `docker compose run --rm backup now --new-repository`."
        ),
        11: RepositoryLockedError(
            f"the repository at {name} is in use by another backup, or one was cut off there. Wait"
            " until it has ended and repeat; a lock that was left behind ends after 30 minutes."
        ),
        12: WrongPasswordError(
            f"the repository at {name} has another password than the one in secrets/backup_password:"
            " put the file back that belongs to it, or type the password of its recovery card there."
        ),
    }
    return known.get(code) or RepositoryError(
        f"the repository at {name} cannot be used: {said or f'restic ended with {code}'}."
        " Check that it can be reached and has free space, then repeat."
    )

"""The recovery card: what a machine with nothing but Docker needs to get the server back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import segno

from ..settings.environment import read_secret

if TYPE_CHECKING:
    from ..settings.backup_settings import BackupSettings, RepositorySettings

# Any restic from 0.17 on reads the repository; this is the image of its makers.
_IMAGE: Final = "restic/restic"
_WARNING: Final = (
    "This card is a secret: whoever has it can read every message and file in the backups. Print it or"
    " write it down, and keep it away from this machine."
)
# The ends of lines that a private key has, in letters: a phone shows the code as text.
_TOO_LONG: Final = "(The code would be too large with the SSH key: it holds everything else.)"


def write_card(settings: BackupSettings) -> str:
    """Return the card as text with a QR code that holds the same values."""
    repository = settings.repository
    values = _list_values(repository)
    code, remark = _draw(values, repository)
    parts = [
        f"RECOVERY CARD of the Matrix server {settings.server_name}",
        _WARNING,
        "\n".join(f"{name}: {value}" for name, value in values.items()),
        *_show_files(repository),
        _write_steps(settings),
        code + (f"\n{remark}" if remark else ""),
    ]
    return "\n\n".join(parts) + "\n"


def _list_values(repository: RepositorySettings) -> dict[str, str]:
    values = {
        "repository": repository.name,
        "password": read_secret(repository.password_file).reveal(),
    }
    if repository.credentials_file is not None:
        text = repository.credentials_file.read_text(encoding="utf-8")
        lines = [line.partition("=") for line in text.splitlines() if "=" in line]
        values |= {name.strip(): value for name, _, value in lines if not name.startswith("#")}
    return values


def _show_files(repository: RepositorySettings) -> list[str]:
    """Return the files that SFTP needs, each with the name under which the steps use it."""
    files = {"ssh_key": repository.ssh_key_file, "known_hosts": repository.known_hosts_file}
    return [
        f"{name}:\n{path.read_text(encoding='utf-8').strip()}"
        for name, path in files.items()
        if path is not None
    ]


def _draw(values: dict[str, str], repository: RepositorySettings) -> tuple[str, str]:
    """Return the code, and a remark if it does not hold everything."""
    text = "\n".join(f"{name}: {value}" for name, value in values.items())
    try:
        return _draw_code("\n".join([text, *_show_files(repository)])), ""
    except segno.DataOverflowError:
        return _draw_code(text), _TOO_LONG


def _draw_code(text: str) -> str:
    drawn = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawn, compact=True)
    return drawn.getvalue()


def _write_steps(settings: BackupSettings) -> str:
    """Return the commands for a machine with Docker alone; they ask for the password."""
    return "\n".join(
        [
            "To get the server back on a machine with Docker, in an empty directory:",
            *(f"{number}. {step}" for number, step in enumerate(_list_steps(settings), start=1)),
        ]
    )


def _list_steps(settings: BackupSettings) -> list[str]:
    repository, folder = settings.repository, settings.bundle_directory
    steps, options = [], '-v "$PWD:/out"'
    place = repository.location
    if repository.is_folder:
        steps.append(
            f"Bring the repository, which is the folder {repository.name}, here as `repository`."
        )
        options = f'-v "$PWD/repository:{place}" -v "$PWD:/out"'
    if repository.credentials_file is not None:
        steps.append(
            "Write the lines above whose names are in capitals into a file `credentials`, as NAME=value."
        )
        options += " --env-file credentials"
    ssh = ""
    if repository.ssh_key_file is not None:
        steps.append(
            "Write the SSH key into a file `ssh_key` (`chmod 600 ssh_key`), the rest into `known_hosts`."
        )
        ssh = " -o sftp.args='-i /out/ssh_key -o UserKnownHostsFile=/out/known_hosts'"
    steps.append(
        f"`docker run --rm -it {options} {_IMAGE} -r {place}{ssh}"
        f" restore --tag set latest:{folder} --target /out/bundle`"
    )
    steps.append('`sudo chown -R "$(id -u):$(id -g)" bundle`, then `cd bundle`')
    if repository.is_folder and not Path(repository.name).is_absolute():
        steps.append(f"`mv ../repository {repository.name}`")
    steps += ["`docker compose run --rm restore`", "`docker compose up -d`"]
    return steps

"""Check a list of releases, sign it and write it. `make releases KEY=releases.key` runs it for ours.

    bin/sign_releases.py KEY [SOURCE.toml TARGET.signed]

KEY is a file with an Ed25519 key, made once by `openssl genpkey -algorithm ed25519 -out releases.key`, and
kept out of every repository. Each run gives the list the next serial number and a new day, also when
nothing else has changed: a reader tells by them that the list is still looked after. Nothing is published.
"""

from __future__ import annotations

import base64
import json
import sys
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bundle_helper.errors import HelperError
from bundle_helper.storage import replace
from bundle_helper.updates.look_up import PINNED_KEYS
from bundle_helper.updates.release_list import (
    FORMAT,
    LARGEST,
    PartReleases,
    ReleaseList,
    open_list,
    parse_part,
    read_keys,
)
from bundle_helper.updates.version_numbers import parse_version

FOLDER: Final = Path(__file__).resolve().parents[1] / "releases"
SOURCE: Final = FOLDER / "releases.toml"
TARGET: Final = FOLDER / "releases.signed"
# How long a reader waits for the next list before it says that this one is old.
VALID: Final = timedelta(days=45)


@click.command()
@click.argument("key", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path), default=SOURCE)
@click.argument("target", type=click.Path(path_type=Path), default=TARGET)
def main(key: Path, source: Path, target: Path) -> None:
    """Sign SOURCE with KEY into TARGET; without both our own list, with a key that the image trusts."""
    private = read_private_key(key)
    if target == TARGET and private.public_key() not in read_keys(PINNED_KEYS.read_bytes()):
        raise click.ClickException(
            f"{key} is not a key that the helper's image trusts. To make it one:"
            f" openssl pkey -in {key} -pubout >> {PINNED_KEYS}"
        )
    parts = read_parts(source)
    last = read_last(target, private)
    serial = last.serial + 1 if last else 1
    signed = seal(parts, private, serial, datetime.now(UTC).date())
    replace(target, signed, 0o644)
    expires = open_list(signed, (private.public_key(),)).expires
    click.echo(f"{target}: list {serial}, {len(signed)} bytes, to be renewed before {expires}")


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file; ClickException if there is none, which shows no part of it."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror}; make a key once: openssl genpkey -algorithm ed25519 -out {path}"
        ) from None
    except (ValueError, TypeError):
        raise click.ClickException(f"{path} is not a PEM file with a plain key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise click.ClickException(f"{path} does not hold an Ed25519 key")
    return key


def read_parts(source: Path) -> dict[str, Any]:
    """Return the parts in a source; ClickException that lists every problem."""
    try:
        parts: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{source}: {error}") from error
    problems = []
    for name, content in parts.items():
        try:
            require_floor(parse_part(content))
        except (ValueError, LookupError, TypeError) as error:
            problems.append(f"{source.name}: {name}: {error}")
    if problems or not parts:
        raise click.ClickException("\n".join(problems) or f"{source} has no part")
    return parts


def require_floor(part: PartReleases) -> None:
    """Raise ValueError if the last security release has not moved the floor.

    Several lines are fixed on one day, so the floor may be an older version of the same month.
    """
    fixes = [release for release in part.releases if release.security]
    if not fixes and part.floor is None:
        return
    last = max((release.day[:7] for release in fixes), default="")
    floors = [release for release in fixes if release.version == part.floor]
    if not floors or floors[0].day[:7] != last:
        raise ValueError(f"the floor must be a security release of the last month with one, {last}")
    versions = [parse_version(release.version) for release in part.releases]
    if len(set(versions)) < len(versions):
        raise ValueError("a version is there twice")


def read_last(target: Path, private: Ed25519PrivateKey) -> ReleaseList | None:
    """Return the list that is there; ClickException if there is one that is not ours."""
    keys = [private.public_key()]
    if target == TARGET:
        keys += read_keys(PINNED_KEYS.read_bytes())
    try:
        return open_list(target.read_bytes(), keys)
    except FileNotFoundError:
        return None
    except HelperError as error:
        raise click.ClickException(
            f"{target} has no serial number to go on from: {error.message} Restore it."
        ) from error


def seal(parts: dict[str, Any], private: Ed25519PrivateKey, serial: int, day: date) -> bytes:
    """Return the signed list; ClickException if readers would refuse it."""
    content = {
        "format": FORMAT,
        "serial": serial,
        "issued": day.isoformat(),
        "expires": (day + VALID).isoformat(),
        "parts": parts,
    }
    text = f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode()
    signed = base64.b64encode(private.sign(text)) + b"\n" + text
    try:
        open_list(signed, (private.public_key(),))
    except HelperError as error:
        raise click.ClickException(f"{error.message} (of {LARGEST} bytes)") from error
    return signed


if __name__ == "__main__":
    sys.exit(main())

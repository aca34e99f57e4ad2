"""Make a release: version, its day, changelog, tag, wheel, sdist. `make release VERSION=1.2.3` runs it.

Nothing is published. Everything is checked before the first file changes; the commit and the tag are
local, so a release that was a mistake is undone with `git tag --delete` and `git reset --hard HEAD~`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
VERSION_FILE: Final = REPOSITORY / "generator" / "synapse_bundle" / "__init__.py"
CHANGELOG: Final = REPOSITORY / "CHANGELOG.md"
HEADING: Final = "## Unreleased\n"
VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
ASSIGNMENT: Final = re.compile(r'__version__ = "(.+)"')
DAY: Final = re.compile(r"RELEASED = datetime\(.+\)")


def main(arguments: list[str]) -> int:
    """Release one version; return the exit code."""
    version = arguments[0] if len(arguments) == 1 else ""
    problems = find_problems(version)
    if problems:
        print("No release was made:", *problems, sep="\n  ", file=sys.stderr)
        return 1
    now = datetime.now(UTC)
    rewrite(VERSION_FILE, lambda text: set_version(text, version, now))
    rewrite(CHANGELOG, lambda text: date_changelog(text, version, now))
    git("commit", "--quiet", "--message", f"Release {version}", "--", VERSION_FILE, CHANGELOG)
    git("tag", "--annotate", f"v{version}", "--message", f"synapse-bundle {version}")
    subprocess.run([sys.executable, "-m", "build", "--outdir", "dist"], cwd=REPOSITORY, check=True)
    print(f"dist/ holds {version}; publish it with: git push --follow-tags && twine upload dist/*")
    return 0


def find_problems(version: str) -> list[str]:
    """Return everything that keeps `version` from being released now."""
    if not VERSION.fullmatch(version):
        return ["VERSION must be three numbers: make release VERSION=1.2.3"]
    problems = []
    current = ASSIGNMENT.search(VERSION_FILE.read_text(encoding="utf-8"))
    if current and parse_version(version) <= parse_version(current[1]):
        problems.append(f"{version} is not newer than {current[1]}")
    if not read_unreleased(CHANGELOG.read_text(encoding="utf-8")).strip():
        problems.append("CHANGELOG.md says nothing under Unreleased")
    if git("status", "--porcelain"):
        problems.append("the checkout has uncommitted changes; commit them first")
    if git("tag", "--list", f"v{version}"):
        problems.append(f"there is a tag v{version} already")
    return problems


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by what `change` makes of it."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def set_version(text: str, version: str, now: datetime) -> str:
    """Return the version file with a version and the day of its release."""
    day = f"RELEASED = datetime({now.year}, {now.month}, {now.day}, tzinfo=UTC)"
    return DAY.sub(day, ASSIGNMENT.sub(f'__version__ = "{version}"', text))


def parse_version(text: str) -> tuple[int, ...]:
    """Return a version's numbers, which compare as versions do."""
    return tuple(int(part) for part in text.split("."))


def read_unreleased(text: str) -> str:
    """Return what the changelog says of the coming release."""
    return re.split(r"(?m)^## ", text.partition(HEADING)[2])[0]


def date_changelog(text: str, version: str, now: datetime) -> str:
    """Return the changelog with a new, empty Unreleased section above the released one."""
    return text.replace(HEADING, f"{HEADING}\n## {version} - {now:%Y-%m-%d}\n", 1)


def git(*arguments: str | Path) -> str:
    """Run git in the repository; return what it printed."""
    command = ["git", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

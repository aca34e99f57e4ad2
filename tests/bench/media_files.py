"""Files in Synapse's media store like those that people upload: photographs and their thumbnails.

It runs inside a container, from standard input, and so imports nothing of ours.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
TAIL = b"\xff\xd9"
SMALLEST, LARGEST, THUMBNAIL = 20_000, 440_000, 6_000


def write(store: Path, *, first: int, size: int) -> int:
    """Write files of `size` bytes in all, numbered from `first`; return the number after the last.

    The same numbers make the same files.
    """
    number, left = first, size
    while left > 0:
        chance = random.Random(number)
        name = f"{chance.getrandbits(96):024x}"
        place = f"{name[:2]}/{name[2:4]}/{name[4:]}"
        left -= write_one(
            store / "local_content" / place, chance, chance.randint(SMALLEST, LARGEST)
        )
        thumbnail = store / "local_thumbnails" / place / "320-240-image-jpeg-scale"
        left -= write_one(thumbnail, chance, THUMBNAIL)
        number += 1
    return number


def write_one(path: Path, chance: random.Random, size: int) -> int:
    """Write one file, which no program compresses any further; return its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(HEAD + chance.randbytes(size) + TAIL)


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), first=int(sys.argv[2]), size=int(sys.argv[3])))

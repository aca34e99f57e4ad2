"""A client of matrix-js-sdk, in a process of Node.js, in an encrypted conversation."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.stack.talker import PAUSE, Keys, Talker
from tests.support import node

_FOLDER: Final = Path(__file__).with_name("matrix_js")
# What the SDK needs.
_OLDEST: Final = 20
# Bytes of one line: an encrypted file is one.
_LINE: Final = 8 << 20


def install_matrix_js() -> Path:
    """Return the directory of its packages; RuntimeError says in one line why there is none."""
    if obstacle := node.find_obstacle(_OLDEST):
        raise RuntimeError(obstacle)
    return node.install(_FOLDER)


@dataclass(kw_only=True)
class MatrixJsTalker(Talker):
    """Its session and its keys last as long as its process, which runs all the while."""

    packages: Path
    _process: Process | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _asked: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def connect(self) -> None:
        """Start the process."""
        stack = self.person.stack
        options = {
            "baseUrl": f"https://{stack.homeserver}:{stack.https_port}",
            "userId": self.person.user_id,
            "deviceId": self.device,
            "accessToken": self.person.token,
            "room": self.room,
        }
        self._process = await asyncio.create_subprocess_exec(
            *("env", f"NODE_EXTRA_CA_CERTS={stack.directory}/secrets/authority.pem"),
            *("node", str(_FOLDER / "talk.js"), str(self.packages)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LINE,
        )
        self._write(options)

    async def close(self) -> None:
        """End the process."""
        assert self._process
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def listen(self, ended: threading.Event) -> None:
        """Take in what the process says, until it has ended."""
        reading = asyncio.create_task(self._read())
        while not ended.is_set() and not reading.done():
            await asyncio.wait([reading], timeout=PAUSE)
        await self.close()
        await reading
        for future in self._asked.values():
            future.cancel()

    async def _read(self) -> None:
        assert self._process
        assert self._process.stdout
        assert self._process.stderr
        while line := await self._process.stdout.readline():
            self._take(json.loads(line))
        said = (await self._process.stderr.read()).decode()
        self.failures.append(f"node has ended: {said}")

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"read": event, "text": text}:
                self.note_read(event, text)
            case {"undecryptable": event}:
                self.undecryptable.append(event)
            case {"failure": words}:
                self.failures.append(words)
            case {"answer": number, **outcome}:
                future = self._asked.pop(number)
                if not future.cancelled():
                    future.set_result(outcome)

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps(message)}\n".encode())

    async def _ask(self, verb: str, **options: Any) -> Any:
        """Return what the process answers; None if it refuses, or has ended."""
        assert self._process
        if self._process.returncode is not None:
            return None
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._write({"number": number, "verb": verb, **options})
        try:
            outcome = await self._asked[number]
        except asyncio.CancelledError:
            # The process has ended, and `failures` has its last words.
            return None
        return outcome.get("value")

    async def knows(self, others: Sequence[Talker]) -> bool:
        """Say whether it has the keys of the others' devices."""
        users = [other.person.user_id for other in others]
        found = await self._ask("find_devices", users=users) or {}
        return all(other.device in found.get(other.person.user_id, []) for other in others)

    async def send(self, text: str, transaction: str) -> str | None:
        """Send it until the server acknowledges it."""
        sent: str | None = await self._ask("send", body=text, transaction=transaction)
        return sent

    async def upload(self, content: bytes) -> tuple[str, Keys] | None:
        """Upload it in one piece."""
        made = await self._ask("upload", content=base64.b64encode(content).decode())
        return (made[0], made[1]) if made else None

    async def download(self, uri: str, keys: Keys) -> bytes:
        """Download it as a signed-in client."""
        content = await self._ask("download", uri=uri, keys=keys)
        assert content is not None, self.failures[-1:]
        return base64.b64decode(content)

    async def read_history(self) -> dict[str, str]:
        """Read the room back to its beginning."""
        history: dict[str, str] | None = await self._ask("read_history")
        assert history is not None, self.failures[-1:]
        return history

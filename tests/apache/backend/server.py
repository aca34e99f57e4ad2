"""Takes Synapse's place: answers with what it received, byte for byte, or misbehaves on request.

`number` counts the requests of a connection.

The query decides: `hold=SECONDS` answers late, `release=1` answers all held requests, `status=CODE`
answers with that status, `break=1` closes the connection without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from urllib.parse import parse_qs, urlsplit

waiting: set[asyncio.Future[None]] = set()


async def read_body(reader: asyncio.StreamReader, headers: list[list[str]]) -> int:
    """Read and discard the body; return its length in bytes."""
    fields = {name.lower(): value for name, value in headers}
    if "transfer-encoding" not in fields:
        return len(await reader.readexactly(int(fields.get("content-length", "0"))))
    total = 0
    while size := int(await reader.readline(), 16):
        total += len(await reader.readexactly(size + 2)) - 2
    await reader.readline()
    return total


async def hold(seconds: float) -> None:
    """Hold a request, and count it as held."""
    released = asyncio.get_running_loop().create_future()
    waiting.add(released)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(released, seconds)
    waiting.discard(released)


def let_go() -> None:
    """Answer all held requests now."""
    for released in waiting:
        released.set_result(None)
    waiting.clear()


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
) -> bytes | None:
    """Read the next request of a connection and return the response; None closes the connection."""
    line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = line.split(" ")
    headers = [entry.split(": ", 1) for entry in rest]
    if ["Expect", "100-continue"] in headers:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = await read_body(reader, headers)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    if "break" in asked:
        return None
    if "release" in asked:
        let_go()
    if "hold" in asked:
        await hold(float(asked["hold"]))
    seen = {"method": method, "target": target, "headers": headers, "length": length}
    seen["number"] = number
    body = json.dumps(seen | {"held": len(waiting), "host": socket.gethostname()}).encode()
    head = (
        f"HTTP/1.1 {asked.get('status', '200')} Status\r\nServer: Synapse/0\r\n"
        f"Access-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until the peer is done."""
    try:
        for number in itertools.count(1):
            response = await answer(reader, writer, number)
            if response is None:
                break
            writer.write(response)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listen on Synapse's port."""
    server = await asyncio.start_server(serve, "0.0.0.0", 8008, backlog=1024)  # noqa: S104
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

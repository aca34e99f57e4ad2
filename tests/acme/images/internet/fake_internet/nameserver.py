"""A DNS server on one address, by UDP and TCP, which can refuse or ignore questions."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Final

PORT: Final = 53
_SECONDS: Final = 10


class Nameserver(asyncio.DatagramProtocol):
    """Serves one function of packets. `mode` gives answer, refuse or drop at any time."""

    def __init__(self, address: str, answer: Callable[[bytes], bytes]) -> None:
        self._address = address
        self._answer = answer
        self._mode = ""
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def turn(self, mode: str) -> None:
        """Answer, refuse (as with a closed port) or drop (as behind a firewall)."""
        if mode == self._mode:
            return
        self._mode = mode
        await self.close()
        if mode != "refuse":
            loop = asyncio.get_running_loop()
            address = (self._address, PORT)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=address)
            self._tcp = await asyncio.start_server(self._serve, *address)

    async def close(self) -> None:
        """Free the port."""
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        self._udp = self._tcp = None
        # The transport lets go of its socket in the next round of the loop.
        await asyncio.sleep(0)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one packet."""
        if self._mode == "answer" and self._udp:
            self._udp.sendto(self._answer(data), addr)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = (asyncio.IncompleteReadError, ConnectionError, TimeoutError)
        with contextlib.suppress(*broken):
            async with asyncio.timeout(_SECONDS):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    packet = await reader.readexactly(length)
                    if self._mode == "answer":
                        reply = self._answer(packet)
                        writer.write(struct.pack("!H", len(reply)) + reply)
                        await writer.drain()
        writer.close()

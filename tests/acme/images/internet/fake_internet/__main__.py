"""Serve everything on one container's addresses until it is stopped."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import ssl
import subprocess

from aiohttp import web

from fake_internet import authority, control
from fake_internet.authority import AuthorityProxy
from fake_internet.cloudflare import Cloudflare
from fake_internet.dns_responses import DnsResponses
from fake_internet.nameserver import Nameserver
from fake_internet.state import InternetState


def read_pairs(variable: str) -> dict[str, str]:
    """Return the `name=address` pairs of a variable."""
    return dict(pair.split("=", 1) for pair in os.environ[variable].split())


def take_addresses(addresses: list[str]) -> None:
    """Put the name servers' addresses on the container's own interface."""
    for address in addresses:
        subprocess.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"], check=True)


async def start_site(
    app: web.Application, port: int, tls: ssl.SSLContext | None = None
) -> web.AppRunner:
    """Serve an application on every address."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port, ssl_context=tls).start()  # noqa: S104
    return runner


async def serve() -> None:
    """Run the name servers, the API, the authorities' proxy and the tests' own API."""
    state, addresses = InternetState(), read_pairs("NAMESERVERS")
    take_addresses(list(addresses.values()))
    names = DnsResponses(state, addresses)
    resolver = Nameserver(os.environ["ADDRESS"], lambda packet: names.answer(packet, ""))
    servers = [
        Nameserver(address, functools.partial(names.answer, server=label))
        for label, address in addresses.items()
    ]

    async def apply() -> None:
        for server in servers:
            await server.turn(state.switches["authorities"])

    await resolver.turn("answer")
    await apply()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(os.environ["TLS_FILE"])
    sites = [
        await start_site(Cloudflare(state).build(), 80),
        await start_site(
            AuthorityProxy(state, read_pairs("AUTHORITIES")).build(), authority.PORT, tls
        ),
        # The last one: once it answers, the others do.
        await start_site(control.build(state, apply), control.PORT),
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    for site in sites:
        await site.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())

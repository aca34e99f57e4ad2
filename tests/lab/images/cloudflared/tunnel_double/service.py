"""The life of a running tunnel: start, serve, drain on a signal, stop."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from logging import Logger
from typing import Final

from aiohttp import web

from tunnel_double import VERSION, RefusalError, metrics
from tunnel_double.edge import Limits
from tunnel_double.ingress import Rule
from tunnel_double.origin import Origin
from tunnel_double.public import PublicSide

_LONGEST_LINE: Final = 64 * 1024
_AT_ONCE: Final = 0.001


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a running tunnel needs to know."""

    tunnel: uuid.UUID
    rules: Sequence[Rule]
    metrics_addresses: Sequence[str]
    """Where the metrics server may listen; the first that is free."""
    public_address: str
    grace_period: float
    """Seconds that requests in flight may take after the signal to stop."""
    limits: Limits


async def serve(plan: Plan, log: Logger) -> None:
    """Serve the tunnel until SIGTERM or SIGINT; a second one cuts the grace period short.

    Raises RefusalError when an address cannot be listened on or a pool of authorities cannot be read.
    """
    stop, hurry = _watch_signals(log)
    log.info("Starting tunnel tunnelID=%s", plan.tunnel)
    log.info("Version %s (double)", VERSION)
    state = metrics.State(connector=str(uuid.uuid4()))
    log.info("Generated Connector ID: %s", state.connector)
    origins = {
        index: Origin(rule) for index, rule in enumerate(plan.rules) if not rule.service.status
    }
    async with AsyncExitStack() as stack:
        await _start_metrics(plan, state, stack, log)
        for origin in origins.values():
            await origin.open()
            stack.push_async_callback(origin.close)
        runner = await _start_public(plan, state, origins, log)
        _register(state, log)
        await stop.wait()
        await _drain(runner, state, hurry)
        log.info("Tunnel server stopped")


def _watch_signals(log: Logger) -> tuple[asyncio.Event, asyncio.Event]:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def note(name: str) -> None:
        log.info("Initiating graceful shutdown due to signal %s ...", name)
        if stop.is_set():
            hurry.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number, name in {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}.items():
        loop.add_signal_handler(number, note, name)
    return stop, hurry


async def _start_metrics(
    plan: Plan, state: metrics.State, stack: AsyncExitStack, log: Logger
) -> None:
    runner = web.AppRunner(metrics.build_metrics(state), access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    failures = []
    for address in plan.metrics_addresses:
        try:
            await _listen(runner, address)
        except RefusalError as refusal:
            failures.append(str(refusal))
            continue
        log.info("Starting metrics server on %s/metrics", address)
        return
    msg = f"Error opening metrics server listener: {'; '.join(failures)}"
    raise RefusalError(msg)


async def _start_public(
    plan: Plan, state: metrics.State, origins: Mapping[int, Origin], log: Logger
) -> web.AppRunner:
    public = PublicSide(plan.rules, origins, limits=plan.limits, connector=state.connector, log=log)
    runner = web.AppRunner(
        public.build_application(),
        access_log=None,
        # A visitor who leaves takes the request to the origin along.
        handler_cancellation=True,
        # To aiohttp nought means for ever, to cloudflared not at all.
        shutdown_timeout=plan.grace_period or _AT_ONCE,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    await runner.setup()
    await _listen(runner, plan.public_address)
    log.info("The public side of the double listens on %s", plan.public_address)
    return runner


async def _listen(runner: web.AppRunner, address: str) -> None:
    host, port = metrics.parse_address(address)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        msg = f"failed to bind to address ({address}): {error}"
        raise RefusalError(msg) from None


def _register(state: metrics.State, log: Logger) -> None:
    state.connections = metrics.CONNECTIONS
    for index in range(metrics.CONNECTIONS):
        log.info("Registered tunnel connection connIndex=%d location=lab", index)


async def _drain(runner: web.AppRunner, state: metrics.State, hurry: asyncio.Event) -> None:
    """Take no new request and wait for those in flight, until the grace period or a signal ends."""
    state.connections = 0
    draining = asyncio.create_task(runner.cleanup())
    hurrying = asyncio.create_task(hurry.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    draining.cancel()
    await asyncio.gather(draining, hurrying, return_exceptions=True)

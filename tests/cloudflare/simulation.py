"""Somebody at a simulation with a bundle: plans, applies and destroys against the fake, disk included.

Everything is in memory, so that thousands of runs take no time; the disk can refuse and the process
can die as well as the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from synapse_bundle import imports
from synapse_bundle.cloudflare import apply as application
from synapse_bundle.cloudflare import destroy as destruction
from synapse_bundle.cloudflare import found as inspection
from synapse_bundle.cloudflare import local_secrets as bundles
from synapse_bundle.cloudflare import permissions
from synapse_bundle.cloudflare import planning as changes
from synapse_bundle.cloudflare import state as states
from synapse_bundle.cloudflare.apply_run import Work
from synapse_bundle.cloudflare.approval import FIXES, Consent
from synapse_bundle.cloudflare.changes import Change
from synapse_bundle.cloudflare.desired import Wanted, Worker
from synapse_bundle.cloudflare.found import Access, Found, Secrets
from synapse_bundle.cloudflare.removal import Undoing, Verb
from synapse_bundle.cloudflare.session import Client
from synapse_bundle.cloudflare.state import State
from tests.cloudflare.fake import accounts, rules, tokens, zones  # noqa: F401  # they register
from tests.cloudflare.fake.api import FakeApi, Killed, LostError
from tests.cloudflare.fake.store import FakeAccount, FakeZone, Grant, Store

DEATHS = ("kill before", "kill after")
FAILURES = ("500 before", "500 after", "lost", "unreachable", "429")
ADDRESS = "http://127.0.0.1/client/v4"
PROVISIONING = "provisioning_0123456789012345678901234567890"
OF_ACCOUNTS = ("Cloudflare Tunnel Write", "Workers Scripts Write")
OF_ZONES = (
    "DNS Write",
    "Workers Routes Write",
    "Zone Settings Write",
    "Bot Management Write",
    "Config Settings Write",
)
WANTED = Wanted(
    server_name="example.org",
    homeserver="matrix.example.org",
    worker=Worker(
        name="matrix-well-known-example-org",
        pattern="example.org/.well-known/matrix/*",
        compatibility_date="2026-11-17",
        source=b"export default {}\n",
    ),
    mints=True,
    max_upload_size=90 * 1024**2,
)
# The settings that there are on the free plan.
FREE = tuple(fix for fix in FIXES if fix != "super-bot-fight-mode")
EVERYTHING = Consent(
    replacing={"homeserver", "apex", "route", "credential"}, fixing={"all"}, yes=True
)


def grant_everything(store: Store, owner: str = "user") -> Grant:
    """Add a token that may do everything, owned by the user or an account."""
    allowed = {(p, account) for account in store.accounts for p in OF_ACCOUNTS}
    allowed |= {(p, zone) for zone in store.zones for p in OF_ZONES}
    allowed.add(
        ("API Tokens Write", "user") if owner == "user" else ("Account API Tokens Write", owner)
    )
    grant = Grant(value=PROVISIONING, id=store.make_id(), name="mine", owner=owner, allowed=allowed)
    store.grants[grant.id] = grant
    return grant


@dataclass(kw_only=True)
class Simulation:
    """A bundle and its operator. `dies` are the numbers of the writes to disk that kill it."""

    fake: FakeApi
    account: FakeAccount
    zone: FakeZone
    grant: Grant
    wanted: Wanted = WANTED
    state: State | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    dies: dict[int, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    waited: float = 0

    @property
    def store(self) -> Store:
        """What there is at Cloudflare."""
        return self.fake.store

    def open_client(self) -> Client:
        """Return a client of the fake that waits for nothing."""
        return Client(
            self.grant.value,
            tell=self.told.append,
            base_url=ADDRESS,
            transport=httpx.MockTransport(self.carry),
            sleep=self.wait,
        )

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.waited += seconds

    def carry(self, request: httpx.Request) -> httpx.Response:
        """Bring a request to the fake."""
        try:
            answer = self.fake.answer(
                request.method,
                request.url.path,
                dict(request.url.params),
                {name.lower(): value for name, value in request.headers.items()},
                request.read(),
            )
        except LostError as lost:
            kind = httpx.ReadTimeout if lost.reached else httpx.ConnectError
            raise kind("no answer", request=request) from lost
        return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

    def write(self, state: State | None, secrets: dict[str, str]) -> None:
        """Put something on disk, or die before or after it."""
        fault = self.dies.get(self.writes, "")
        self.writes += 1
        if fault == "before":
            raise Killed
        # Through its text, as a real disk would have it.
        self.state, self.secrets = state, self.secrets | secrets
        if fault == "after":
            raise Killed

    def save(self, state: State) -> None:
        """Put a state on disk."""
        self.write(state, {})

    def read_state(self) -> State:
        """Return the state on disk, or a first one."""
        return self.state or states.create(self.wanted.server_name)

    def look(self, client: Client, access: Access, state: State) -> Found:
        """Look at everything."""
        credential = bundles.read_credential(self.secrets.get(imports.TUNNEL, ""))
        secrets = Secrets(
            account=credential["AccountTag"],
            tunnel=credential["TunnelID"],
            token=self.secrets.get(imports.TOKEN, ""),
        )
        local = inspection.look_locally(client, access, secrets, state)
        return inspection.look(client, self.wanted, state, access, local)

    def open(self) -> tuple[Client, Access]:
        """Return a client and what its token opens, if it may do what is needed."""
        client = self.open_client()
        access = inspection.find_access(client, self.wanted)
        permissions.require(client, permissions.list_needs(access.home, access.apex))
        return client, access

    def plan(self, state: State | None = None) -> list[Change]:
        """Return how everything stands."""
        client, access = self.open()
        state = state or self.read_state()
        return changes.compare(self.wanted, self.look(client, access, state), state)

    def list_pending(self, consent: Consent = EVERYTHING) -> list[str]:
        """Return what an apply with these yeses would still do."""
        return [f"{c.verb} {c.text}" for c in self.plan() if c.verb and consent.agrees(c)]

    def apply(self, consent: Consent = EVERYTHING) -> None:
        """Apply, and keep the secrets that came of it."""
        client, access = self.open()
        state = consent.settle(self.read_state())
        found = self.look(client, access, state)
        consent.ask(changes.compare(self.wanted, found, state))
        self.save(state)
        work = Work(
            client=client,
            wanted=self.wanted,
            state=state,
            found=found,
            save=self.save,
            say=self.told.append,
        )
        application.apply(work, lambda now: self.look(client, access, now), consent.agrees)
        self.write(self.state, work.given)

    def destroy(self) -> list[Undoing]:
        """Take everything back."""
        if not self.state:
            return []
        client = self.open_client()
        permissions.require(client, permissions.list_needs_of(self.state.made))
        secret = self.secrets.get(imports.TOKEN, "")
        planned = destruction.examine(client, self.state, secret)
        done = list(destruction.destroy(client, self.state, planned, self.save, secret))
        if not any(undoing.verb is Verb.SKIP for undoing in done):
            self.write(None, {})
        return done

    def strike(self, requests: dict[int, str], writes: dict[int, str] | None = None) -> None:
        """Let faults happen at the coming requests and writes, counted from now."""
        self.fake.faults = {len(self.fake.log) + n: fault for n, fault in requests.items()}
        self.dies = {self.writes + n: fault for n, fault in (writes or {}).items()}

    def heal(self) -> None:
        """Let everything work from now on."""
        self.fake.faults, self.dies = {}, {}


def simulate(owner: str = "user", wanted: Wanted = WANTED, **zone: Any) -> Simulation:
    """Return a simulation at an account with the one zone that a new user has."""
    fake = FakeApi()
    account = fake.store.add_account()
    place = fake.store.add_zone("example.org", account, **zone)
    grant = grant_everything(fake.store, owner if owner == "user" else account.id)
    return Simulation(fake=fake, account=account, zone=place, grant=grant, wanted=wanted)


def rename(simulation: Simulation, homeserver: str) -> None:
    """Give the homeserver another name, as an edit of the settings does."""
    simulation.wanted = replace(simulation.wanted, homeserver=homeserver)

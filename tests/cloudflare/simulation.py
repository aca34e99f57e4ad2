"""A simulated operator with a bundle: plans, applies and destroys against the fake, disk included.

Everything is in memory, so that thousands of runs take no time; the disk can refuse and the process
can die as well as the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from synapse_bundle.cloudflare import apply, destroy, notes, permissions, plan
from synapse_bundle.cloudflare import state as state_file
from synapse_bundle.cloudflare.access import Access, require_access
from synapse_bundle.cloudflare.apply_run import ApplyRun
from synapse_bundle.cloudflare.approval import Approval
from synapse_bundle.cloudflare.changes import ResourceChange
from synapse_bundle.cloudflare.desired import Desired, DesiredWorker
from synapse_bundle.cloudflare.found import Found, PlanContext, ReadContext
from synapse_bundle.cloudflare.kinds.registry import FIXES
from synapse_bundle.cloudflare.local_secrets import LocalSecrets
from synapse_bundle.cloudflare.removal import Removal, RemovalAction, RemovalContext
from synapse_bundle.cloudflare.session import Session
from synapse_bundle.cloudflare.state import CloudflareState
from synapse_bundle.credentials import file_names
from tests.support.fake_cloudflare.api import FakeApi, Killed, LostError
from tests.support.fake_cloudflare.store import FakeAccount, FakeZone, Grant, Store

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
DESIRED = Desired(
    server_name="example.org",
    homeserver="matrix.example.org",
    worker=DesiredWorker(
        name="matrix-well-known-example-org",
        pattern="example.org/.well-known/matrix/*",
        compatibility_date="2026-11-17",
        source=b"export default {}\n",
    ),
    needs_token=True,
    max_upload_size=90 * 1024**2,
)
# The settings that there are on the free plan.
FREE = tuple(fix for fix in FIXES if fix != "super-bot-fight-mode")
EVERYTHING = Approval(
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
    """A bundle and its operator. `dies` are the numbers of the writes to disk that kill it; `reports` is what it printed."""

    fake: FakeApi
    account: FakeAccount
    zone: FakeZone
    grant: Grant
    desired: Desired = DESIRED
    state: CloudflareState | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    dies: dict[int, str] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)
    waited: float = 0

    @property
    def store(self) -> Store:
        """What there is at Cloudflare."""
        return self.fake.store

    def open_session(self) -> Session:
        """Return a session with the fake that waits for nothing."""
        return Session(
            self.grant.value,
            report=self.reports.append,
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

    def write(self, state: CloudflareState | None, secrets: dict[str, str]) -> None:
        """Put something on disk, or die before or after it."""
        fault = self.dies.get(self.writes, "")
        self.writes += 1
        if fault == "before":
            raise Killed
        # Through its text, as a real disk would have it.
        self.state, self.secrets = state, self.secrets | secrets
        if fault == "after":
            raise Killed

    def save(self, state: CloudflareState) -> None:
        """Put a state on disk."""
        self.write(state, {})

    def read_state(self) -> CloudflareState:
        """Return the state on disk, or an empty one."""
        return self.state or state_file.create(self.desired.server_name)

    def read(self, session: Session, access: Access, state: CloudflareState) -> Found:
        """Read everything."""
        credential = self.secrets.get(file_names.TUNNEL, "")
        secrets = LocalSecrets.parse(credential, self.secrets.get(file_names.TOKEN, ""))
        return plan.read(
            ReadContext(
                session=session, desired=self.desired, state=state, access=access, secrets=secrets
            )
        )

    def open(self) -> tuple[Session, Access]:
        """Return a session and what its token gives access to, if it may do what is needed."""
        session = self.open_session()
        access = require_access(session, self.desired)
        plan.require_permissions(session, access)
        return session, access

    def open_context(self) -> PlanContext:
        """Return everything that is compared."""
        session, access = self.open()
        state = self.read_state()
        found = self.read(session, access, state)
        return PlanContext(desired=self.desired, found=found, state=state)

    def plan(self) -> list[ResourceChange]:
        """Return the condition of every resource."""
        return plan.compare(self.open_context())

    def list_obstacles(self) -> list[str]:
        """Return what stops an apply."""
        return notes.list_obstacles(self.open_context())

    def list_notes(self) -> list[str]:
        """Return what the operator should know."""
        return notes.list_notes(self.open_context())

    def list_pending(self, approval: Approval = EVERYTHING) -> list[str]:
        """Return what an apply with this approval would still do."""
        return [f"{c.verb} {c.text}" for c in self.plan() if c.verb and approval.covers(c)]

    def apply(self, approval: Approval = EVERYTHING) -> None:
        """Apply, and keep the secrets that were issued."""
        session, access = self.open()
        state = approval.settle(self.read_state())
        found = self.read(session, access, state)
        approval.ask(plan.compare(PlanContext(desired=self.desired, found=found, state=state)))
        self.save(state)
        run = ApplyRun(
            session=session,
            desired=self.desired,
            state=state,
            found=found,
            save=self.save,
            report=self.reports.append,
        )
        apply.apply(run, lambda now: self.read(session, access, now), approval.covers)
        self.write(self.state, run.secrets)

    def destroy(self) -> list[Removal]:
        """Remove everything."""
        if not self.state:
            return []
        session = self.open_session()
        permissions.require(session, destroy.list_permissions(self.state))
        token = self.secrets.get(file_names.TOKEN, "")
        context = RemovalContext(session=session, state=self.state, token=token)
        planned = destroy.plan_removals(context)
        done = list(destroy.destroy(context, planned, self.save))
        if not any(removal.action is RemovalAction.SKIP for removal in done):
            self.write(None, {})
        return done

    def strike(self, requests: dict[int, str], writes: dict[int, str] | None = None) -> None:
        """Let faults happen at the coming requests and writes, counted from now."""
        self.fake.faults = {len(self.fake.log) + n: fault for n, fault in requests.items()}
        self.dies = {self.writes + n: fault for n, fault in (writes or {}).items()}

    def heal(self) -> None:
        """Let everything work from now on."""
        self.fake.faults, self.dies = {}, {}


def simulate(owner: str = "user", desired: Desired = DESIRED, **zone: Any) -> Simulation:
    """Return a simulation at an account with the one zone that a new user has."""
    fake = FakeApi()
    account = fake.store.add_account()
    place = fake.store.add_zone("example.org", account, **zone)
    grant = grant_everything(fake.store, owner if owner == "user" else account.id)
    return Simulation(fake=fake, account=account, zone=place, grant=grant, desired=desired)


def rename(simulation: Simulation, homeserver: str) -> None:
    """Give the homeserver another name, as an edit of the settings does."""
    simulation.desired = replace(simulation.desired, homeserver=homeserver)

"""Agent pools in tests of runs: listeners that the test plays, and workspaces whose runs they carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from terrapod_core.agents import ListenerIdentity
from terrapod_core.agents.documents import CreatePool, CreatePoolToken, JoinListener
from terrapod_core.runs.listener_runs import TellRun
from terrapod_core.runs.offers import HeldPhase, Offer, Poll
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.runs.takes import Given
from terrapod_core.signatures import new_key
from terrapod_core.storage import ObjectKind, PhaseClaim
from terrapod_core.workspaces import Workspace
from tests.db.runs.conftest import Engine, pieces
from tests.support.listeners import request_for

URL = "https://tfe.example.com"


@dataclass
class Crew:
    """A pool, and the engine whose runs it carries out."""

    engine: Engine
    pool_id: str

    @classmethod
    async def open(cls, engine: Engine, name: str = "build", **sent: Any) -> Crew:
        """A new pool."""
        return cls(engine, (await engine.terrapod.pools.create(engine.admin, CreatePool(name=name, **sent))).id)

    async def workspace(self, name: str = "far", **sent: Any) -> Workspace:
        """A workspace whose runs the pool carries out."""
        return await self.engine.workspace(name, execution_mode="agent", agent_pool_id=self.pool_id, **sent)

    async def listener(self, name: str = "host-1", capacity: int = 1) -> ListenerIdentity:
        """Somebody who joined."""
        token = await self.engine.terrapod.pool_tokens.create(self.engine.admin, self.pool_id, CreatePoolToken(description="for a test"))
        new = JoinListener(name=name, csr=request_for(new_key()), version="1.0.0", capacity=capacity)
        made = await self.engine.terrapod.listeners.join(self.pool_id, token.text, new, None)
        return ListenerIdentity(made.id, self.pool_id, name, made.key_id)

    def waits(self, who: ListenerIdentity, *holds: HeldPhase) -> Poll:
        """A poll of the listener."""
        return self.engine.terrapod.offers.open(Poll(who, URL, 30, frozenset(holds), lambda _offer: b"{}"))

    async def offer(self, who: ListenerIdentity, *holds: HeldPhase) -> Offer | None:
        """What a poll is answered after one look; `None` when it goes on waiting."""
        poll = self.waits(who, *holds)
        await self.engine.terrapod.offers.look()
        return poll.offer

    async def answered(self, poll: Poll) -> Offer | None:
        """What a poll that waits is answered by one more look."""
        await self.engine.terrapod.offers.look()
        return poll.offer

    async def take(self, who: ListenerIdentity, *holds: HeldPhase) -> Given:
        """The phase that the listener is given."""
        offer = await self.offer(who, *holds)
        assert offer is not None
        assert offer.given is not None
        return offer.given

    async def tell(self, who: ListenerIdentity, given: Given, status: str, **more: Any) -> str:
        """Tell of a phase; how its run stands then."""
        sent: dict[str, Any] = {"phase_id": given.phase_id, "epoch": given.epoch, "status": status}
        said = TellRun(**(sent | more))
        return (await self.engine.terrapod.listener_runs.tell(who, given.id, said)).status

    async def begin(self, given: Given) -> PhaseClaim:
        """Claim it, as its program does."""
        claim = self.engine.terrapod.phase_tokens.verify(given.token)
        await self.engine.phases.claim(claim, Claim(runner="host 1"))
        return claim

    async def plan(self, given: Given, *, has_changes: bool = True) -> None:
        """Play its program to the end of a plan."""
        claim = await self.begin(given)
        await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000)
        await self.engine.phases.report(claim, Report(status="finished", has_changes=has_changes, additions=1))


def held(given: Given) -> HeldPhase:
    """As the listener names it in later polls."""
    return HeldPhase(given.phase_id, given.epoch)


async def queued(crew: Crew, name: str = "far", **sent: Any) -> RunView:
    """A run of the pool whose plan waits."""
    return await crew.engine.run(await crew.workspace(name), **sent)

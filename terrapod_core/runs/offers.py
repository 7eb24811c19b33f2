"""Runs for listeners: the long polls that wait for one, and the loop that answers them.

One loop a process asks the database for all of its polls together, so a thousand that wait cost what one costs. It looks when
something has changed, here or on another server of the same database; while those are not heard, it looks often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.agents import ListenerIdentity, queries as agents_queries
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database, LookUp
from terrapod_core.jobs.looking import Looking
from terrapod_core.metrics.definitions import POLLS_OPEN
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import FINAL, Cancel, RunStatus
from terrapod_core.runs.takes import Given, Takes, held_by_listeners
from terrapod_core.runs.turns import UNTAKEN
from terrapod_core.workspaces import Workspace

LOOK_SECONDS: Final = 1.0
"""Between two looks that nothing has caused, where this process is alone with its database."""

OFTEN_SECONDS: Final = 0.08
"""How often a glance is cast at the queue where others may fill it unheard: a listener shall have a run within a tenth of a second."""

SELDOM_SECONDS: Final = 5.0
"""Between two looks that nothing has caused while all others are heard."""

LOOK_EVERY: Final = timedelta(seconds=0.5)
"""How often everything is looked at there: a cancel may take a moment longer."""

QUEUED: Final = LookUp(
    Phase,
    select(Phase)
    .join(Run, Run.id == Phase.run_id)
    .join(Workspace, Workspace.id == Run.workspace_id)
    .where(UNTAKEN, Workspace.agent_pool_id.is_not(None))
    .limit(1),
)
"""A phase that waits for some listener: the glance."""

BEAT_SECONDS: Final = 40.0
"""A poll sends a byte this often, so that proxies keep it (many give up after 50 seconds) and both sides notice when the other is gone."""

HEARD_EVERY: Final = timedelta(seconds=20)
"""An open poll is a heartbeat; it is written down this often."""

OVER_EVERY: Final = timedelta(seconds=2)
"""How often those are looked up that listeners hold and nobody carries out: plans that wait for a person, mostly."""

AGAIN: Final = timedelta(seconds=10)
"""A cancel that an earlier poll told is told once more after this; its answer may have been lost."""

_OVER: Final = (*FINAL, RunStatus.PLANNED_AND_SAVED)


@dataclass(frozen=True)
class HeldPhase:
    """A phase that a listener says it has."""

    phase_id: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.phase_id}.{self.epoch}"


@dataclass(frozen=True)
class Cancelled:
    """Somebody wants a phase to end."""

    run_id: str
    phase_id: str
    epoch: int
    cancel: str
    """`interrupt` or `force`."""


@dataclass(frozen=True)
class Offer:
    """The answer to a poll."""

    given: Given | None = None
    cancels: tuple[Cancelled, ...] = ()
    over: tuple[HeldPhase, ...] = ()
    """What the listener may let go of."""


class Poll:
    """A listener that waits: its answer as it is sent, a byte now and then and one document at the end."""

    def __init__(self, who: ListenerIdentity, url: str, wait: float, holds: frozenset[HeldPhase], write: Callable[[Offer], bytes]) -> None:
        self.listener_id = who.listener_id
        self.pool_id = who.pool_id
        self.url = url
        self.holds = holds
        self.offer: Offer | None = None
        self._wait = wait
        self._write = write
        self._answered = asyncio.Event()
        self._until: float | None = None
        self._left: Callable[[Poll], None] = lambda _poll: None
        self._over = False

    def join(self, left: Callable[[Poll], None]) -> None:
        """Whom to tell when nobody waits for the answer any more."""
        self._left = left

    def answer(self, offer: Offer) -> None:
        """Let it have this; the first answer counts."""
        if self.offer is None:
            self.offer = offer
            self._answered.set()

    def __aiter__(self) -> Poll:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + self._wait
            return b"\n"
        try:
            async with asyncio.timeout_at(min(now + BEAT_SECONDS, self._until)):
                await self._answered.wait()
        except TimeoutError:
            if asyncio.get_running_loop().time() < self._until:
                return b"\n"
            self.answer(Offer())
        self._over = True
        self._left(self)
        assert self.offer is not None
        return self._write(self.offer)

    async def aclose(self) -> None:
        """The client is gone, or has its answer."""
        self._over = True
        self._left(self)


@dataclass(frozen=True)
class _News:
    """What the database knows of the pools and listeners that wait."""

    active: Mapping[str, tuple[Phase, ...]]
    """The phases of each listener."""
    wanted: Collection[str]
    """Pools with phases that nobody has."""
    room: Mapping[str, int]
    """How many phases more a listener may have, for those of these pools that may have any."""


class Offers:
    """The polls of one process."""

    def __init__(self, db: Database, takes: Takes) -> None:
        self._db = db
        self._takes = takes
        self._polls: dict[str, Poll] = {}
        self._told: dict[tuple[str, int, str], datetime] = {}
        self._looked_at = self._heard_at = self._over_at = db.clock.now()
        self._woken = False
        self._holder_came = False
        pace = db.wakeups.pace(LOOK_SECONDS if db.is_sqlite else OFTEN_SECONDS, SELDOM_SECONDS)
        self._looking = Looking("offers", pace, self.look)
        db.wakeups.on(PHASES, self.wake)
        self._stopped = False

    def wake(self, _key: str = "") -> None:
        """Look now: something may have been queued, cancelled or ended."""
        self._woken = True
        self._looking.wake()

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Answer all that wait, now and later, that there is nothing: they come back to another server, or to this one after its start."""
        self._stopped = True
        for poll in list(self._polls.values()):
            poll.answer(Offer())
        await self._looking.stop()

    def open(self, poll: Poll) -> Poll:
        """Let it wait; an earlier poll of the listener ends, for whoever sent that does not wait for it any more."""
        earlier = self._polls.get(poll.listener_id)
        if earlier is not None:
            earlier.answer(Offer())
        self._polls[poll.listener_id] = poll
        POLLS_OPEN.set(len(self._polls))
        poll.join(self._leave)
        if self._stopped:
            poll.answer(Offer())
        self._holder_came |= bool(poll.holds)
        self.wake()
        return poll

    def _leave(self, poll: Poll) -> None:
        if self._polls.get(poll.listener_id) is poll:
            del self._polls[poll.listener_id]
            POLLS_OPEN.set(len(self._polls))

    async def look(self) -> None:
        """One pass over all that wait."""
        now = self._db.clock.now()
        if not self._polls or (not self._woken and now - self._looked_at < LOOK_EVERY and await self._db.look_up(QUEUED) is None):
            return
        waiting = {poll.listener_id: poll for poll in self._polls.values() if poll.offer is None}
        self._woken, self._looked_at = False, now
        if now - self._heard_at >= HEARD_EVERY:
            self._heard_at = now
            await self._hear(waiting)
        news = await self._db.read(lambda session: _news(session, waiting.values()))
        over: Mapping[str, list[HeldPhase]] = {}
        if self._holder_came or now - self._over_at >= OVER_EVERY:
            self._over_at, self._holder_came = now, False
            over = await self._over(waiting.values(), news)
        for listener_id in waiting.keys() & (news.active.keys() | over.keys()):
            await self._tell(waiting[listener_id], news.active.get(listener_id, ()), over.get(listener_id, ()), now)
        for pool_id in news.wanted:
            await self._give(pool_id, [poll for poll in waiting.values() if poll.pool_id == pool_id], news)

    async def _hear(self, waiting: Mapping[str, Poll]) -> None:
        """Note that all who wait are there; who is trusted no more is sent away."""
        async with self._db.uow() as uow:
            trusted = await uow.run(lambda session: agents_queries.hear(session, list(waiting), uow.now()))
            await uow.commit()
        for listener_id, poll in waiting.items():
            if listener_id not in trusted:
                poll.answer(Offer())

    async def _over(self, polls: Iterable[Poll], news: _News) -> dict[str, list[HeldPhase]]:
        """What of what they hold they may let go of, by listener."""
        asked = {
            poll.listener_id: poll.holds - {HeldPhase(each.id, each.epoch) for each in news.active.get(poll.listener_id, ())}
            for poll in polls
            if poll.holds
        }
        ids = {held.phase_id for holds in asked.values() for held in holds}
        if not ids:
            return {}
        needed = await self._db.read(lambda session: _needed(session, ids))
        return {
            listener_id: [held for held in sorted(holds, key=str) if (listener_id, held) not in needed]
            for listener_id, holds in asked.items()
        }

    async def _tell(self, poll: Poll, active: Collection[Phase], over: Collection[HeldPhase], now: datetime) -> None:
        """Answer a poll that there is something else for than a new phase."""
        lost = next((phase for phase in active if phase.claimed_by is None and HeldPhase(phase.id, phase.epoch) not in poll.holds), None)
        given = await self._takes.again(poll.listener_id, lost.id) if lost is not None else None
        cancels = tuple(
            Cancelled(phase.run_id, phase.id, phase.epoch, phase.cancel)
            for phase in active
            if phase.cancel != Cancel.NONE and self._is_news((phase.id, phase.epoch, phase.cancel), now)
        )
        if given is not None or cancels or over:
            poll.answer(Offer(_from(given, poll), cancels, tuple(over)))

    def _is_news(self, key: tuple[str, int, str], now: datetime) -> bool:
        self._told = {each: told for each, told in self._told.items() if now - told < AGAIN}
        if key in self._told:
            return False
        self._told[key] = now
        return True

    async def _give(self, pool_id: str, polls: list[Poll], news: _News) -> None:
        """Give what waits for this pool to those that have the least to do; each poll takes one phase."""
        free = [poll for poll in polls if poll.offer is None and news.room.get(poll.listener_id, 0) > 0]
        for poll in sorted(free, key=lambda poll: len(news.active.get(poll.listener_id, ()))):
            given = await self._takes.next_for(poll.listener_id)
            if given is None:
                return
            poll.answer(Offer(_from(given, poll)))


def _from(given: Given | None, poll: Poll) -> Given | None:
    return replace(given, url=poll.url) if given is not None else None


def _news(session: Session, polls: Collection[Poll]) -> _News:
    active: dict[str, tuple[Phase, ...]] = {}
    for phase in session.execute(select(Phase).where(*held_by_listeners())).scalars():
        listener_id = phase.listener_id or ""
        active[listener_id] = (*active.get(listener_id, ()), phase)
    queued = select(Workspace.agent_pool_id).join(Run, Run.workspace_id == Workspace.id).join(Phase, Phase.run_id == Run.id)
    here = {poll.pool_id for poll in polls}
    wanted = {each for each in session.execute(queued.where(UNTAKEN).distinct()).scalars() if each in here}
    takers = [poll.listener_id for poll in polls if poll.pool_id in wanted]
    room = {each: most - len(active.get(each, ())) for each, most in agents_queries.capacities(session, takers).items()}
    return _News(active, wanted, room)


def _needed(session: Session, phase_ids: Collection[str]) -> set[tuple[str, HeldPhase]]:
    """Of these, what listeners must keep although nobody carries it out: plan and apply of a run that is not over share a directory."""
    query = select(Phase.listener_id, Phase.id, Phase.epoch).join(Run, Run.id == Phase.run_id)
    rows = session.execute(query.where(Phase.id.in_(phase_ids), Phase.listener_id.is_not(None), Run.status.not_in(_OVER)))
    return {(row[0] or "", HeldPhase(row[1], row[2])) for row in rows}


__all__ = ["Cancelled", "HeldPhase", "Offer", "Offers", "Poll"]

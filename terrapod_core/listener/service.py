"""The listener at work: one long poll is open, each phase lives in a task of its own, and a stop comes in three steps."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import structlog

from terrapod_core.listener.answers import CancelWord, Given, Run
from terrapod_core.listener.asking import Pause
from terrapod_core.listener.backends import Backend
from terrapod_core.listener.errors import Away, Ended, Refused
from terrapod_core.listener.held import Held, carefully
from terrapod_core.listener.server import Server
from terrapod_core.listener.state import Record, StateDir
from terrapod_core.plugin import Handle, PhaseSpec, SupportsFinding, SupportsTidying

QUIET_SECONDS: Final = 1.0
"""Between polls that bring nothing new."""

STEADY_SECONDS: Final = 20.0
"""A poll that was open for so long did work; what breaks it is the first failure of its kind."""

HEARTBEAT_SECONDS: Final = 20.0
"""While it takes nothing more, and so does not poll."""

TELL_SECONDS: Final = 30.0
"""How often a listener that stops says what it waits for."""

MOST_KEPT: Final = 100
"""Of the phases that have ended, how many one poll asks about."""

DRAIN_LOOK_SECONDS: Final = 0.2
KILLING: Final = 3
"""So many signals end what runs by force."""

LAST_WORDS_SECONDS: Final = 10.0
KILL_SECONDS: Final = 60.0
RENEW_LOOK_SECONDS: Final = 60.0
"""The wall clock may jump, so nobody sleeps until a time of day."""

log = structlog.get_logger("terrapod.listener")


@dataclass(frozen=True)
class Place:
    """How programs are started on this machine."""

    program: tuple[str, ...]
    engines_dir: str | None
    url: str | None
    """The server as programs reach it, where that is not as the server says; `None` goes by the server."""
    certificate: str | None
    """PEM of the certificate that the server shows; `None`: an authority that the system trusts has signed it."""


class Listener:
    """Takes phases and has the backend carry them out, until it is told to stop. `run` returns once; `Ended` when nobody believes it."""

    def __init__(self, server: Server, backend: Backend, state: StateDir, place: Place, *, leaving: bool = False) -> None:
        self._server = server
        self._backend = backend
        self._state = state
        self._place = place
        self._leaving = leaving
        self._held: dict[str, Held] = {}
        self._tasks: dict[asyncio.Task[None], Held] = {}
        self._runs: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """What the phases of a run that are in hand share."""
        self._stops = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more; the second time interrupt what runs, the third end it by force."""
        self._stops += 1
        self._stopped.set()

    async def run(self) -> None:
        """Listen. Raises `Ended` after everything that ran has been killed."""
        await self._recover()
        working = [asyncio.create_task(self._listen()), asyncio.create_task(self._renew())]
        told = [asyncio.create_task(self._stopped.wait()), asyncio.create_task(self._server.ended.wait())]
        try:
            await asyncio.wait({*working, *told}, return_when=asyncio.FIRST_COMPLETED)
            working[0].cancel()
            if self._stopped.is_set():
                working.append(asyncio.create_task(self._beat()))
                await self._drain()
            if self._server.ended.is_set():
                await self._kill()
                raise Ended(self._server.why)
            if 1 <= self._stops < KILLING:
                await self._say_last_words()
        finally:
            for each in (*working, *told, *self._tasks):
                each.cancel()
            results = await asyncio.gather(*working, *told, *self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, Ended):
                raise result

    # -- taking

    async def _listen(self) -> None:
        pause, introduced, refused = Pause(), False, ""
        while True:
            began = time.monotonic()
            try:
                if not introduced:
                    await self._server.introduce(self._backend.capacity)
                    introduced = True
                    log.info("waiting for runs", pool=self._server.identity.pool_id, capacity=self._backend.capacity)
                given = await self._server.next(self._named())
            except Away as error:
                if time.monotonic() - began >= STEADY_SECONDS:
                    pause.reset()  # it was open for a while, so this is the first failure
                await asyncio.sleep(error.retry_after or pause.next())
                continue
            except Refused as error:
                if str(error) != refused:
                    refused = str(error)
                    log.error("the server refuses to give runs", reason=refused, code=error.code)
                await asyncio.sleep(max(5.0, pause.next()))
                continue
            pause.reset()
            refused = ""
            if not self._take(given) and time.monotonic() - began < QUIET_SECONDS:
                await asyncio.sleep(QUIET_SECONDS)

    def _named(self) -> list[str]:
        """What it has, for a poll. Of those that have ended and are kept, plans that wait for a person above all, a part at a time: an
        address must not grow with them.
        """
        going_on = [name for name, held in self._held.items() if not held.settled.is_set()]
        kept = [name for name, held in self._held.items() if held.settled.is_set()][:MOST_KEPT]
        for name in kept:
            self._held[name] = self._held.pop(name)  # the next poll names others first
        return going_on + kept

    def _take(self, given: Given) -> bool:
        """Act on an answer; whether there was anything in it that was not known."""
        news = self._begin(given.data) if given.data is not None else False
        for word in given.meta.cancels:
            news |= self._cancel(word)
        for name in given.meta.over:
            held = self._held.get(name)
            if held is not None:
                held.let_go()
                news = True
        return news

    def _begin(self, run: Run) -> bool:
        offer = run.attributes
        record = Record(
            run_id=run.id,
            phase_id=offer.phase_id,
            phase=offer.phase,
            epoch=offer.epoch,
            organization=offer.organization,
            workspace=offer.workspace,
        )
        held = self._new(record)
        if held.name in self._held:
            return False
        url = (self._place.url or offer.url).rstrip("/")
        spec = PhaseSpec(
            run_id=run.id,
            phase_id=offer.phase_id,
            phase=offer.phase,
            epoch=offer.epoch,
            url=url,
            token=offer.token,
            certificate=self._place.certificate if url.startswith("https:") else None,
            program=self._place.program,
            engines_dir=self._place.engines_dir,
            organization=offer.organization,
            workspace=offer.workspace,
            cpu=offer.cpu,
            memory=offer.memory,
            service_account=offer.service_account,
        )
        log.info("took a phase", phase=offer.phase, run=run.id, workspace=offer.workspace)
        before = [each for each in self._held.values() if each.record.phase_id == offer.phase_id and not each.gone.is_set()]
        self._hold(held, spec, before)
        return True

    def _new(self, record: Record) -> Held:
        alone = self._runs.setdefault(record.run_id, asyncio.Lock())
        return Held(record, self._backend.runner, self._server, self._state, alone)

    def _hold(self, held: Held, spec: PhaseSpec | None, before: list[Held]) -> None:
        self._held[held.name] = held
        task = asyncio.create_task(held.live(spec, before), name=held.name)
        self._tasks[task] = held
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        held = self._tasks.pop(task)
        if task.cancelled():
            return
        self._held.pop(held.name, None)
        if task.exception() is not None:
            log.error("a phase was given up", run=held.record.run_id, exc_info=task.exception())
            held.gone.set()

    def _cancel(self, word: CancelWord) -> bool:
        held = self._held.get(f"{word.phase_id}.{word.epoch}")
        if held is None or word.cancel == "none":
            return False
        return held.force() if word.cancel == "force" else held.interrupt()

    async def _recover(self) -> None:
        """Take up what an earlier process had in hand, and remove what is left of anything else."""
        runner, found = self._backend.runner, []
        for record in await asyncio.to_thread(self._state.records):
            if record.handle is None and record.word is None:
                handle = await self._find(record)
                if handle is None:
                    # It was killed before the launch. What is not named by the next poll is given again.
                    await asyncio.to_thread(self._state.remove, record)
                    continue
                record.handle = dict(handle)
                await asyncio.to_thread(self._state.save, record)
            found.append(record)
        if isinstance(runner, SupportsTidying):
            kept = {each.run_id for each in found}
            await carefully(lambda: runner.tidy(kept))
        for record in found:
            log.info("has a phase in hand still", phase=record.phase, run=record.run_id, workspace=record.workspace)
            self._hold(self._new(record), None, [])

    async def _find(self, record: Record) -> Handle | None:
        runner = self._backend.runner
        if not isinstance(runner, SupportsFinding):
            return None
        return await carefully(lambda: runner.find(record.run_id, record.phase_id, record.epoch))

    # -- the certificate

    async def _renew(self) -> None:
        """Renew at half of its life; `Server` does it too when it finds it expired."""
        pause = Pause(first=1.0, longest=300.0)
        while True:
            left = (self._server.identity.renew_at - self._server.now).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, RENEW_LOOK_SECONDS))
                continue
            try:
                await self._server.renew()
                pause.reset()
            except Away as error:
                await asyncio.sleep(error.retry_after or pause.next())
            except Refused as error:
                log.error("the certificate was not renewed", reason=str(error), code=error.code)
                await asyncio.sleep(max(60.0, pause.next()))

    # -- stopping

    async def _drain(self) -> None:
        """Wait for what runs here. It goes on to be heard: its programs talk to the server themselves."""
        log.info("stopping: nothing more is taken", waiting_for=len(self._unfinished()))
        interrupted, told_at = False, time.monotonic()
        while self._unfinished() and not self._server.ended.is_set():
            if self._stops >= KILLING:
                await self._kill(seconds=QUIET_SECONDS)
                return
            if self._stops == 2 and not interrupted:
                interrupted = True
                log.warning("what runs here is interrupted; told once more, it is killed")
                for each in self._unfinished():
                    each.interrupt()
            if time.monotonic() - told_at >= TELL_SECONDS:
                told_at = time.monotonic()
                log.info("waiting for runs to end", runs=sorted({each.record.run_id for each in self._unfinished()}))
            await asyncio.sleep(DRAIN_LOOK_SECONDS)

    async def _beat(self) -> None:
        """Stay alive for the server while nothing is polled."""
        while True:
            with suppress(Away, Refused):
                await self._server.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _unfinished(self) -> list[Held]:
        return [each for each in self._held.values() if not each.gone.is_set()]

    async def _kill(self, seconds: float = KILL_SECONDS) -> None:
        """End everything by force, and see it end."""
        for each in self._unfinished():
            each.force()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(each.gone.wait() for each in self._unfinished()))

    async def _say_last_words(self) -> None:
        """Tell what is still to be told, and leave for good where that was asked. A server that is away hears it after the next start."""
        with suppress(TimeoutError, Ended, Refused):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await asyncio.gather(*(each.settled.wait() for each in self._held.values()))
                if self._leaving and not self._unfinished():
                    await self._server.patiently(lambda: self._server.heartbeat(status="exited"))
                    await asyncio.gather(*(each.forget() for each in self._held.values()))
                    await asyncio.to_thread(self._state.leave)
                    log.info("left the pool", name=self._server.identity.name)
                    return
        if self._leaving:
            log.warning("did not leave the pool: runs are in hand, or the server is away", name=self._server.identity.name)

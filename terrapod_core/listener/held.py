"""One phase in hand, from the moment it was given until the server says that it may be let go of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import structlog

from terrapod_core.listener.errors import Away, Ended, Refused
from terrapod_core.listener.server import Server
from terrapod_core.listener.state import Record, StateDir, Word
from terrapod_core.plugin import LaunchFailed, LaunchPostponed, PhaseSpec, PhaseState, RunnerBackend

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
LEASE_SECONDS: Final = 20.0
"""How often the server is told that a program is on its way: a third of what a lease lasts."""

FORCE_AGAIN: Final = 10.0
LONGEST_MESSAGE: Final = 1000

log = structlog.get_logger("terrapod.listener")


class Held:
    """A phase in hand. `live` is its whole life, in a task of its own; everything else only tells it something."""

    def __init__(self, record: Record, backend: RunnerBackend, server: Server, state: StateDir, alone: asyncio.Lock) -> None:
        """`alone` is one for all phases of a run: they share a directory, in which one thing is done at a time."""
        self.record = record
        self._alone = alone
        self._backend = backend
        self._server = server
        self._state = state
        self._log = log.bind(run=record.run_id, phase=record.phase, workspace=record.workspace)
        self._asked = ""
        self._interrupted = False
        self._forced_at: float | None = None
        self._lost = False
        self._woken = asyncio.Event()
        self._over = asyncio.Event()
        self.gone = asyncio.Event()
        """Nothing runs here of this launch, now and later."""
        self.settled = asyncio.Event()
        """It is gone, and the server knows how it ended."""

    @property
    def name(self) -> str:
        """As `holds` names it."""
        return f"{self.record.phase_id}.{self.record.epoch}"

    # -- what it is told

    def interrupt(self) -> bool:
        """Somebody cancelled it; whether that is news."""
        return self._ask("interrupt") if not self._asked else False

    def force(self) -> bool:
        """It is to end now; whether that is news."""
        return self._ask("force") if self._asked != "force" else False

    def _ask(self, word: str) -> bool:
        self._asked = word
        self._woken.set()
        return True

    def let_go(self) -> None:
        """The server needs nothing of it any more."""
        self._over.set()
        self.force()

    # -- its life

    async def live(self, spec: PhaseSpec | None, before: Sequence[Held] = ()) -> None:
        """Carry it out. `spec` starts it; `None` takes up one that was started by an earlier process.

        `before` are launches of the same phase that are over for the server, but may still run here.
        """
        with suppress(Ended):  # the listener itself hears of that, and ends its programs
            if spec is not None:
                await self._start(spec, before)
            await self._watch()
            await self._report()
            self.settled.set()
            await self._over.wait()
            await self.forget()

    async def _start(self, spec: PhaseSpec, before: Sequence[Held]) -> None:
        try:
            # Before anything runs: a listener that is killed from here on finds its program again.
            await asyncio.to_thread(self._state.save, self.record)
        except OSError as error:
            await self._failed(f"the listener cannot write to {self._state.path}: {error.strerror or error}")
            return
        try:
            async with self._on_its_way():
                await self._end(before)
                if self._over.is_set() or self._lost:
                    return
                async with self._alone:
                    self.record.handle = dict(await self._backend.launch(spec))
        except LaunchPostponed as error:
            self._log.warning("it cannot be started now, and is given back", reason=str(error))
            await self._ended_with(Word(status=f"{self.record.phase}_queued", message=_cut(str(error))))
        except LaunchFailed as error:
            await self._failed(str(error))
        except Exception as error:  # noqa: BLE001  # whatever a plugin raises, the run must hear of it
            self._log.exception("the runner backend stumbled")
            await self._failed(f"the runner backend raised {type(error).__name__}")
        else:
            await self._save()
            await self._lease()

    async def _failed(self, reason: str) -> None:
        self._log.warning("it could not be started", reason=reason)
        await self._ended_with(Word(status="errored", message=_cut(reason), launched=False))

    async def _end(self, before: Sequence[Held]) -> None:
        """End launches that are in the way: they work in the same directory."""
        for each in before:
            each.force()
        for each in before:
            await each.gone.wait()

    async def _watch(self) -> None:
        """Look on until it has ended, and pass on what it is told."""
        leased_at = time.monotonic()
        while self.record.handle is not None and self.record.word is None:
            self._woken.clear()
            state = await self._poll()
            if state is not None and not state.running:
                self._log.info("ended", how=state.detail)
                await self._ended_with(Word(status="planned" if self.record.phase == "plan" else "applied", message=_cut(state.detail)))
                break
            await self._cancel()
            if state is not None and state.waiting and time.monotonic() - leased_at >= LEASE_SECONDS:
                leased_at = time.monotonic()
                await self._lease()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()
        self.gone.set()

    async def _poll(self) -> PhaseState | None:
        """How it is; `None` when the backend cannot say at the moment."""
        return await carefully(lambda: self._backend.poll(self.record.handle or {}))

    async def _cancel(self) -> None:
        """Pass on what was asked: an interrupt once, force again while it does not end."""
        handle = self.record.handle or {}
        if self._asked == "interrupt" and not self._interrupted:
            self._interrupted = True
            self._log.info("is interrupted")
            await self._changing(lambda: self._backend.cancel(handle, force=False))
        elif self._asked == "force" and (self._forced_at is None or time.monotonic() - self._forced_at >= FORCE_AGAIN):
            if self._forced_at is None:
                self._log.info("is ended by force")
            self._forced_at = time.monotonic()
            await self._changing(lambda: self._backend.cancel(handle, force=True))

    async def _changing(self, call: Callable[[], Awaitable[None]]) -> None:
        async with self._alone:
            await carefully(call)

    async def _report(self) -> None:
        """Have the server hear how it ended, however long that takes."""
        while self.record.word is not None and not (self.record.told or self._lost or self._over.is_set()):
            try:
                await self._tell(self.record.word)
            except Refused as error:
                if error.code == "not_reported":
                    # Its report was not accepted, or it made none: it ended badly after all.
                    await self._ended_with(Word(status="errored", message=self.record.word.message))
                    continue
                self._log.warning("the server does not count on it any more", reason=str(error))
            self.record.told = True
            await self._save()

    async def _tell(self, word: Word) -> None:
        """Tell until it is heard, or nobody wants to hear."""
        record = self.record
        telling = asyncio.ensure_future(
            self._server.patiently(lambda: self._server.tell(record.run_id, record.phase_id, record.epoch, word))
        )
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({telling, over}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            for each in (telling, over):
                each.cancel()
            await asyncio.gather(telling, over, return_exceptions=True)

    async def forget(self) -> None:
        """Remove what is left of one that has ended."""
        if self.record.handle is not None:
            await self._changing(lambda: self._backend.forget(self.record.handle or {}))
        with suppress(OSError):
            await asyncio.to_thread(self._state.remove, self.record)
        self._log.debug("let go of", launch=self.name)

    # -- the lease

    async def _lease(self) -> None:
        """Say that it is on its way, which holds its lease. Not insisted on: the next time comes soon."""
        status = "planning" if self.record.phase == "plan" else "applying"
        try:
            await self._server.tell(self.record.run_id, self.record.phase_id, self.record.epoch, Word(status=status))
        except (Away, Ended):
            return
        except Refused as error:
            if error.status in (404, 409):
                self._log.warning("it is not this listener's any more", reason=str(error))
                self._lost = True
                self.force()
            else:
                self._log.warning("the server does not hear that it is on its way", reason=str(error))

    @asynccontextmanager
    async def _on_its_way(self) -> AsyncIterator[None]:
        """Hold the lease for as long as a launch takes."""

        async def again_and_again() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS)
                await self._lease()

        task = asyncio.create_task(again_and_again())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --

    async def _ended_with(self, word: Word) -> None:
        self.record.word = word
        await self._save()

    async def _save(self) -> None:
        """Keep how it is. A disk that is full costs a restart what it would have known, and nobody a run."""
        try:
            await asyncio.to_thread(self._state.save, self.record)
        except OSError as error:
            self._log.error("the listener cannot write to its directory", reason=error.strerror or str(error))


async def carefully(call: Callable[[], Awaitable[T]]) -> T | None:
    """What a backend answers; `None` when it raises. A backend that stumbles over one phase is asked again; the others go on."""
    try:
        return await call()
    except Exception:  # a plugin may raise anything
        log.exception("the runner backend stumbled")
        return None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"

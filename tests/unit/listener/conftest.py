"""A listener in this process, a server on paper, and a runner backend whose programs end when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from terrapod_core.listener import Identity, Listener, Place, Server, StateDir, held, service
from terrapod_core.listener.backends import Backend
from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin import Handle, PhaseSpec, PhaseState
from tests.support.paper_server import LATER, PaperServer
from tests.support.waiting import until

T = TypeVar("T")
PLACE = Place(program=("true",), engines_dir=None, url=None, certificate=None)


@dataclass
class Programs:
    """A `RunnerBackend` of nothing. Programs run until `ends` says how they ended."""

    name: str = "paper"
    launched: list[PhaseSpec] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    waits: set[str] = field(default_factory=set)
    cancels: list[tuple[str, str]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Launches that `find` finds."""
    obeys: bool = True
    """Whether programs end when they are forced."""
    refusal: Exception | None = None
    """What the next launch raises."""
    crowded: bool = False
    """Whether two things were done in one directory at a time."""
    _busy: set[str] = field(default_factory=set)
    stumbles: set[str] = field(default_factory=set)
    """Launches about which every question raises."""

    async def launch(self, phase: PhaseSpec) -> Handle:
        if self.refusal is not None:
            raise self.refusal
        await self._alone(phase.run_id)
        self.launched.append(phase)
        return {"launch": f"{phase.phase_id}.{phase.epoch}", "run": phase.run_id}

    async def poll(self, handle: Handle) -> PhaseState:
        name = str(handle["launch"])
        if name in self.stumbles:
            raise RuntimeError("it stumbled")
        if name in self.ends:
            return PhaseState(False, self.ends[name])
        return PhaseState(True, "waits" if name in self.waits else "running", waiting=name in self.waits)

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        await self._alone(str(handle["run"]))
        name = str(handle["launch"])
        self.cancels.append((name, "force" if force else "interrupt"))
        if force and self.obeys:
            self.ends.setdefault(name, "ended by signal 9")

    async def forget(self, handle: Handle) -> None:
        await self._alone(str(handle["run"]))
        self.forgotten.append(str(handle["launch"]))

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        name = f"{phase_id}.{epoch}"
        return {"launch": name, "run": run_id} if name in self.known else None

    async def _alone(self, run_id: str) -> None:
        """Take a moment, in which nothing else may be done with the directory of the run."""
        self.crowded |= run_id in self._busy
        self._busy.add(run_id)
        await asyncio.sleep(0.02)
        self._busy.discard(run_id)

    @property
    def started(self) -> list[str]:
        return [f"{each.phase_id}.{each.epoch}" for each in self.launched]


class Site:
    """A listener that has joined, and what is around it."""

    def __init__(self, directory: Path, paper: PaperServer) -> None:
        self.paper = paper
        self.programs = Programs()
        self.state = StateDir(directory / "listener")
        self.state.new_key()
        self.state.save_identity(
            Identity(
                url=paper.url,
                pool_id="apool-1",
                listener_id="agent-1",
                name="one",
                key_id="1",
                certificate="PEM",
                certificate_chain="PEM",
                certificate_expires_at=LATER,
                renew_at=LATER,
            )
        )
        self.listener: Listener | None = None
        self.server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, *, leaving: bool = False) -> None:
        """Begin to listen."""
        identity = self.state.identity()
        assert identity is not None
        self.server = Server(HTTPClients(), self.state, identity)
        self.listener = Listener(self.server, Backend(self.programs, 2), self.state, PLACE, leaving=leaving)
        self._task = asyncio.create_task(self.listener.run())

    def stop(self) -> None:
        """Tell it to stop, as a signal does."""
        assert self.listener is not None
        self.listener.stop()

    async def end(self) -> None:
        """Wait for its end; raises what it ends with."""
        assert self._task is not None
        assert self.server is not None
        await asyncio.wait_for(self._task, 30)
        await self.server.close()

    async def kill(self) -> None:
        """End it without a word, as SIGKILL does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.server is not None:
            await self.server.close()

    @property
    def in_hand(self) -> list[str]:
        """What is on disk."""
        return [f"{each.phase_id}.{each.epoch}" for each in self.state.records()]

    async def until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait for something, while the listener goes on."""
        return await asyncio.to_thread(until, condition, what, seconds=20)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes hundredths."""
    monkeypatch.setattr(held, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(held, "LEASE_SECONDS", 0.05)
    monkeypatch.setattr(held, "FORCE_AGAIN", 0.05)
    monkeypatch.setattr(service, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(service, "LAST_WORDS_SECONDS", 0.5)


@pytest.fixture
def paper() -> Iterator[PaperServer]:
    server = PaperServer()
    yield server
    server.close()


@pytest.fixture
async def site(tmp_path: Path, paper: PaperServer) -> AsyncIterator[Site]:
    site = Site(tmp_path, paper)
    yield site
    await site.kill()

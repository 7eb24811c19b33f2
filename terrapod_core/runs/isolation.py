"""Who may have terraform run here, by how far the runner backend keeps it from the server."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from terrapod_core.authz import Actor
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Forbidden
from terrapod_core.plugin import RunnerBackend, SupportsIsolation, SupportsSelfTest
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.turns import OF_SERVER, UNTAKEN
from terrapod_core.runs.waiting import HELD, NO_ISOLATION
from terrapod_core.workspaces import ExecutionMode, Workspace

T = TypeVar("T")
log = structlog.get_logger("terrapod.runs")
FindActor = Callable[[Session, str], Actor | None]


@dataclass(frozen=True)
class Isolation:
    """How far the runner backend keeps terraform from the server, and so who may run it."""

    isolated: bool
    allow_users: bool

    @classmethod
    def of(cls, backend: RunnerBackend) -> Isolation:
        """What the backend says of itself; one that says nothing is another machine, or a container."""
        if isinstance(backend, SupportsIsolation):
            return cls(isolated=backend.isolation != "none", allow_users=backend.allow_unisolated_users)
        return cls(isolated=True, allow_users=True)

    @property
    def keeps_users_out(self) -> bool:
        """Whether only platform admins may run terraform here."""
        return not (self.isolated or self.allow_users)

    def admits(self, actor: Actor | None) -> bool:
        """Whether this actor's may."""
        return not self.keeps_users_out or (actor is not None and actor.is_platform_admin)

    def check(self, actor: Actor, workspace: Workspace) -> None:
        """Raise `Forbidden` (code `runner_not_isolated`) when this actor's configuration must not be executed here, and would be.

        What an agent pool carries out never comes near this server's runner.
        """
        if workspace.execution_mode != ExecutionMode.AGENT and not self.admits(actor):
            raise Forbidden(
                "runs on this server execute as the server itself, without isolation, so only platform admins may start them; "
                "use execution mode `local` or `agent`, or ask an operator (setting runner.local.allow_unisolated_users)",
                code="runner_not_isolated",
            )


class RunnerTrial:
    """What the runner backend finds out at the start about how far it isolates."""

    def __init__(self, backend: RunnerBackend) -> None:
        self._backend = backend
        self._tried = False
        self._reason: str | None = None

    async def once(self) -> None:
        """Let it find out. Raises `SettingsError` when the operator asked for more than there is."""
        if isinstance(self._backend, SupportsSelfTest) and not self._tried:
            self._reason = await self._backend.self_test()
            self._tried = True

    def isolation(self) -> Isolation:
        """How far it keeps terraform from this server, as it says now."""
        return Isolation.of(self._backend)

    def detail(self) -> dict[str, object]:
        """The same for `/ready`."""
        found = self.isolation()
        if found.isolated:
            return {"isolation": "sandbox"}
        return {"isolation": "none", "isolation-reason": self._reason, "may-run": "everybody" if found.allow_users else "platform admins"}

    def warn(self) -> None:
        """Say in the log that there is none."""
        found = self.isolation()
        if not found.isolated:
            who = "everybody may start them" if found.allow_users else "only platform admins may start them"
            log.warning("runs execute without isolation", who=who, reason=self._reason, setting="runner.local.isolation")


class Holding:
    """Keeps phases of others than platform admins from being launched while nothing would keep them from the server."""

    def __init__(self, db: Database, logs: Logs, isolation: Callable[[], Isolation], find: FindActor) -> None:
        self._db = db
        self._logs = logs
        self._isolation = isolation
        self._find = find

    async def creators(self) -> Collection[str] | None:
        """Whose queued phases may be launched here now, by user id; `None`: everybody's. Other runs, and their logs, say why they wait."""
        allowed, wrong = await self._db.read(self._look)
        if wrong:
            word = None if allowed is None else NO_ISOLATION
            async with self._db.uow() as uow:
                await uow.session.execute(update(Run).where(Run.id.in_(wrong)).values(held_for=word))
                if word is not None:
                    await self._say(uow, wrong)
                await uow.commit()
        return allowed

    async def _say(self, uow: UnitOfWork, run_ids: list[str]) -> None:
        """Say it in the logs of plans. Not for an apply: terraform's CLI swallows the first three lines of its log."""
        plans = select(Phase).where(Phase.run_id.in_(run_ids), Phase.kind == "plan", UNTAKEN).with_for_update()
        for phase in (await uow.session.execute(plans)).scalars():
            self._logs.say(uow, phase, f"Waiting: {HELD}.\n")

    def _look(self, session: Session) -> tuple[Collection[str] | None, list[str]]:
        isolation = self._isolation()
        if not isolation.keeps_users_out:
            return None, list(session.execute(_queued(Run.id).where(Run.held_for == NO_ISOLATION)).scalars())
        ids = session.execute(_queued(Run.created_by_id).distinct()).scalars()
        allowed = [each for each in ids if each is not None and isolation.admits(self._find(session, each))]
        others = _queued(Run.id).where(
            or_(Run.created_by_id.is_(None), Run.created_by_id.not_in(allowed)), Run.held_for.is_distinct_from(NO_ISOLATION)
        )
        return allowed, list(session.execute(others).scalars())


def _queued(column: InstrumentedAttribute[T]) -> Select[T]:
    """A column of the runs whose phase waits for the server's runner."""
    of_run = select(column).join(Phase, Phase.run_id == Run.id).join(Workspace, Workspace.id == Run.workspace_id)
    return of_run.where(UNTAKEN, OF_SERVER)

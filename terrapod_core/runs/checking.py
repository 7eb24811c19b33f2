"""What others decide about a run, asked before the transaction in which it counts: a decision may take its time, a lock may not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sqlalchemy.orm import Session

from terrapod_core.db import Database, UnitOfWork
from terrapod_core.plugin import Advise, CheckedRun, Decision, Deny, Hold, Stage
from terrapod_core.runs import plan_json
from terrapod_core.runs.history import note
from terrapod_core.runs.models import Phase, Run
from terrapod_core.storage import Objects
from terrapod_core.workspaces import Workspace


class Deciders(Protocol):
    """Whoever has a say; handed in by `app`."""

    @property
    def any(self) -> bool:
        """Whether there is anybody."""
        ...

    async def decide(self, run: CheckedRun, stage: Stage) -> list[Decision]:
        """What they decided, each reason with its name in front."""
        ...


@dataclass(frozen=True)
class Verdict:
    """Everything that was decided about a run at one stage."""

    decisions: Sequence[Decision] = ()

    @property
    def denied(self) -> str | None:
        """Why nothing of it may be applied; `None` when it may."""
        return "; ".join(each.reason for each in self.decisions if isinstance(each, Deny)) or None

    @property
    def held(self) -> str | None:
        """Why a person has to confirm it."""
        return "; ".join(each.reason for each in self.decisions if isinstance(each, Hold)) or None

    def tell(self, uow: UnitOfWork, run: Run) -> None:
        """Note all of it in the run's history."""
        for each in self.decisions:
            word = {Deny: "denied", Hold: "held", Advise: "advised"}[type(each)]
            note(uow, run, word, getattr(each, "reason", ""))


class Checking:
    """Asks about a run at each of its stages."""

    def __init__(self, db: Database, objects: Objects, deciders: Deciders) -> None:
        self._db = db
        self._objects = objects
        self._deciders = deciders

    async def verdict(
        self,
        run_id: str,
        stage: Stage,
        *,
        has_changes: bool | None = None,
        confirmed_by_id: str | None = None,
        first: Callable[[Session], object] | None = None,
    ) -> Verdict:
        """What they all say now; the two that are given are not yet in the run's row. Where somebody has a say, `first` may refuse."""
        if not self._deciders.any:
            return Verdict()

        def look(session: Session) -> tuple[Run, Phase, str]:
            if first is not None:
                first(session)
            run = session.get_one(Run, run_id)
            return run, session.get_one(Phase, run.plan_id), session.get_one(Workspace, run.workspace_id).name

        run, plan, name = await self._db.read(look)
        changes = run.has_changes if has_changes is None else has_changes
        confirmed = confirmed_by_id or run.confirmed_by_id
        seen = _seen(run, plan, name, partial(self._plan_json, plan), has_changes=changes, confirmed_by_id=confirmed)
        return Verdict(await self._deciders.decide(seen, stage))

    async def _plan_json(self, plan: Phase) -> bytes | None:
        return await plan_json.whole(self._objects, plan, plan.plan_json_key) if plan.plan_json_key is not None else None


def _seen(
    run: Run, plan: Phase, name: str, plan_json: Callable[[], Awaitable[bytes | None]], *, has_changes: bool, confirmed_by_id: str | None
) -> CheckedRun:
    return CheckedRun(
        id=run.id,
        workspace_id=run.workspace_id,
        workspace_name=name,
        plan_id=run.plan_id,
        message=run.message,
        trigger_reason=run.trigger_reason,
        created_by_id=run.created_by_id,
        confirmed_by_id=confirmed_by_id,
        plan_only=run.plan_only,
        save_plan=run.save_plan,
        auto_apply=run.auto_apply,
        is_destroy=run.is_destroy,
        refresh_only=run.refresh_only,
        has_changes=has_changes,
        plan_digest=plan.plan_file_digest,
        plan_json=plan_json,
    )

"""Random lives of runs: whatever people, runners and time do, the server does what the model of `model.py` says.

So there are never two holders of a workspace, no run moves once it has ended, and no run waits without a true reason.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete

from terrapod_core.errors import Conflict, InvalidTransition, TerrapodError
from terrapod_core.jsonapi import PageRequest
from terrapod_core.runs import Run
from terrapod_core.runs.filters import OPERATIONS, RunFilters
from terrapod_core.runs.phases import RESCUE, LeaseLost
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.runs.status import CANCELABLE
from terrapod_core.storage import ObjectKind, PhaseClaim
from terrapod_core.testing import FakeClock
from terrapod_core.workspaces import Workspace
from tests.conftest import migrate
from tests.db.runs.conftest import Engine, open_engine, pieces
from tests.db.runs.model import PERSON, Model, ModelPhase, ModelRun, ModelWorkspace, Refused
from tests.support.databases import Databases

ALL = RunFilters(operations=tuple(OPERATIONS))
KINDS: dict[str, dict[str, Any]] = {
    "apply": {},
    "auto": {"auto_apply": True},
    "plan-only": {"plan_only": True},
    "saved": {"save_plan": True},
}
choices = st.integers(0, 10_000)
"""Which of the things that are there a step is about; they are counted when it is taken."""


class Stage:
    """A server that the examples share: making one costs more than an example."""

    def __init__(self, databases: Databases, data: Path) -> None:
        self.runner = asyncio.Runner()
        self.url = databases.copy_of("migrated", migrate)
        self.clock = FakeClock()
        self.engine: Engine = self.do(open_engine(self.url, data, self.clock))
        self.numbers = iter(range(1_000_000))

    def do(self, work: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await work

        return self.runner.run(run())

    def close(self) -> None:
        self.do(self.engine.close())
        self.runner.close()


class Lives(RuleBasedStateMachine):
    """The server and the model, side by side."""

    stage: ClassVar[Stage]

    @initialize(seed=choices)
    def begin(self, seed: int) -> None:
        """Some runs are under way when a life begins."""
        self.do(self._clear())
        self.shown: dict[str, tuple[ModelRun, RunView]] = {}
        self.claims: list[tuple[ModelRun, ModelPhase, PhaseClaim]] = []
        self.over: dict[str, str] = {}
        self.places: list[tuple[ModelWorkspace, Workspace, str]] = []
        for number in range(2):
            workspace = self.do(self.engine.workspace(f"w{next(self.stage.numbers)}"))
            self.places.append((ModelWorkspace(number), workspace, self.do(self.engine.configuration(workspace))))
        self.do(self.engine.dispatch())
        self.model = Model(self.engine.backend.capacity, self.stage.clock.now())
        chosen = random.Random(seed)
        self.model.out_of_reach = self.engine.backend.out_of_reach = chosen.random() < 0.5
        for _ in range(4):
            self.create(chosen.randrange(2), chosen.choice(sorted(KINDS)))
        self.runners_at_work(chosen.randrange(1, 4), seed)

    @property
    def engine(self) -> Engine:
        return self.stage.engine

    def do(self, work: Awaitable[Any]) -> Any:
        return self.stage.do(work)

    async def _clear(self) -> None:
        async with self.engine.terrapod.db.uow() as uow:
            await uow.session.execute(delete(Run))
            await uow.commit()
        self.engine.backend.phases.clear()

    def both(self, model: Callable[[], Any], server: Awaitable[Any], refusal: type[Exception] = InvalidTransition) -> Any:
        """Do the same here and there; both do it, or both refuse. What the server answers."""
        refused, answer = False, None
        try:
            model()
        except Refused:
            refused = True
        try:
            answer = self.do(server)
        except refusal:
            assert refused, "the server refuses what the model allows"
        else:
            assert not refused, "the server allows what the model refuses"
        self.do(self._jobs())
        return answer

    async def _jobs(self) -> None:
        assert self.engine.terrapod.worker is not None
        await self.engine.terrapod.worker.drain()

    def pick(self, at: int, among: list[Any]) -> Any:
        return among[at % len(among)]

    def some_run(self, at: int) -> tuple[ModelRun, str]:
        """One that goes on, more often than not."""
        live = [ident for ident, (run, _) in self.shown.items() if not run.is_final]
        ident = self.pick(at, live if live and at % 4 else list(self.shown))
        return self.shown[ident][0], ident

    def phases(self, *statuses: str) -> list[tuple[ModelRun, ModelPhase, str]]:
        """Model phases in one of these statuses, with the ids the server knows them by."""
        return [
            (run, phase, ident)
            for run, view in self.shown.values()
            for phase, ident in ((run.plan, view.run.plan_id), (run.apply, view.run.apply_id))
            if phase.status in statuses
        ]

    # -- people

    @precondition(lambda self: sum(not run.is_final for run, _ in self.shown.values()) < 10)
    @rule(place=st.integers(0, 1), kind=st.sampled_from(sorted(KINDS)))
    def create(self, place: int, kind: str) -> None:
        model, workspace, configuration = self.places[place]
        view = self.do(self.engine.create(workspace, configuration, **KINDS[kind]))
        self.model.now = self.stage.clock.now()
        self.shown[view.id] = (self.model.create(model, kind), view)

    @precondition(lambda self: self.shown)
    @rule(at=choices)
    def confirm(self, at: int) -> None:
        planned = [(run, ident) for ident, (run, _) in self.shown.items() if run.status in ("planned", "planned_and_saved")]
        run, ident = self.pick(at, planned) if planned and at % 3 else self.some_run(at)
        self.both(lambda: self.model.confirm(run), self.engine.runs.confirm(self.engine.admin, ident))

    @precondition(lambda self: self.shown)
    @rule(at=choices)
    def discard(self, at: int) -> None:
        run, ident = self.some_run(at)
        self.both(lambda: self.model.discard(run), self.engine.runs.discard(self.engine.admin, ident))

    @precondition(lambda self: self.shown)
    @rule(at=choices)
    def cancel(self, at: int) -> None:
        run, ident = self.some_run(at)
        self.both(lambda: self.model.cancel(run), self.engine.runs.cancel(self.engine.admin, ident))

    @precondition(lambda self: any(run.canceled_at for run, _ in self.shown.values()))
    @rule(at=choices)
    def force_cancel(self, at: int) -> None:
        ident = self.pick(at, [ident for ident, (run, _) in self.shown.items() if run.canceled_at])
        run = self.shown[ident][0]
        self.both(lambda: self.model.force_cancel(run), self.engine.runs.force_cancel(self.engine.admin, ident))

    @precondition(lambda self: any(run.is_final for run, _ in self.shown.values()))
    @rule(at=choices)
    def retry(self, at: int) -> None:
        run, ident = self.some_run(at)
        made: list[ModelRun] = []
        view = self.both(lambda: made.append(self.model.retry(run)), self.engine.terrapod.again.retry(self.engine.admin, ident))
        if view is not None:
            self.stage.clock.advance(seconds=1)
            self.model.now = self.stage.clock.now()
            self.shown[view.id] = (made[0], view)

    @precondition(lambda self: any(run.status == "pending" for run, _ in self.shown.values()))
    @rule(at=choices)
    def force_execute(self, at: int) -> None:
        ident = self.pick(at, [ident for ident, (run, _) in self.shown.items() if run.status == "pending"])
        run = self.shown[ident][0]
        self.both(lambda: self.model.force_execute(run), self.engine.terrapod.again.force_execute(self.engine.admin, ident))

    @rule(place=st.integers(0, 1))
    def lock(self, place: int) -> None:
        model, workspace, _ = self.places[place]
        self.both(
            lambda: self.model.lock(model),
            self.engine.terrapod.workspaces.locks.lock(self.engine.admin, workspace.id, "hands off"),
            Conflict,
        )

    @rule(place=st.integers(0, 1))
    def unlock(self, place: int) -> None:
        model, workspace, _ = self.places[place]
        self.both(lambda: self.model.unlock(model), self.engine.terrapod.workspaces.locks.unlock(self.engine.admin, workspace.id), Conflict)

    @rule(place=st.integers(0, 1))
    def force_unlock(self, place: int) -> None:
        model, workspace, _ = self.places[place]
        self.both(
            lambda: self.model.force_unlock(model),
            self.engine.terrapod.workspaces.locks.force_unlock(self.engine.admin, workspace.id),
            TerrapodError,
        )

    # -- runners

    @precondition(lambda self: self.shown)
    @rule(rounds=st.integers(1, 4), seed=choices)
    def runners_at_work(self, rounds: int, seed: int) -> None:
        """Most of what is launched is claimed, and most of what is claimed ends well: else no life gets far."""
        chosen = random.Random(seed)
        for _ in range(rounds):
            self.look()
            for _ in range(len(self.phases("launched"))):
                if self.phases("launched") and chosen.random() < 0.8:
                    self.claim(chosen.randrange(10_000))
            if self.phases("running") and chosen.random() < 0.6:
                self.report(chosen.randrange(10_000), chosen.choice(["finished"] * 5 + ["errored", "canceled"]), chosen.random() < 0.8)

    @precondition(lambda self: self.shown)
    @rule(seed=choices)
    def approve(self, seed: int) -> None:
        """Whoever decides says yes to most."""
        for number in range(sum(run.status in ("planned", "planned_and_saved") for run, _ in self.shown.values())):
            if (seed >> number) % 3:
                self.confirm(number * 3 + 1)

    @precondition(lambda self: self.phases("running"))
    @rule(at=choices, claims=st.booleans())
    def start_anew(self, at: int, claims: bool) -> None:
        """A runner is not heard until its phase is somebody else's; then it is back."""
        self.die(at)
        if claims and self.phases("launched"):
            self.claim(at)
        if self.past():
            self.late(at)

    @precondition(lambda self: self.phases("launched"))
    @rule(at=choices)
    def claim(self, at: int) -> None:
        run, phase, ident = self.pick(at, self.phases("launched"))
        claim = self.engine.claim(ident)
        self.claims.append((run, phase, claim))
        self.both(lambda: self.model.claim(run, phase), self.engine.phases.claim(claim, Claim(runner="host 1")), LeaseLost)

    @precondition(lambda self: self.phases("running"))
    @rule(at=choices, status=st.sampled_from(["finished", "finished", "finished", "errored", "canceled"]), changes=st.booleans())
    def report(self, at: int, status: str, changes: bool) -> None:
        run, phase, ident = self.pick(at, self.phases("running"))
        claim = self.engine.claim(ident)
        if phase.kind == "plan" and status == "finished":
            self.do(self.engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000))
        if phase.kind == "apply" and changes:
            self.model.state_written(run)
            self.do(self.engine.put_state(claim, run.workspace.serial))
        said = Report(status=status, has_changes=changes)
        self.both(lambda: self.model.report(run, phase, status, changes=changes), self.engine.phases.report(claim, said), LeaseLost)
        self.do(self.engine.phases.report(claim, said))  # once more, because the answer was lost

    def past(self) -> list[tuple[ModelRun, ModelPhase, PhaseClaim]]:
        """Claims that hold nothing any more: the phase is over, or was launched anew since."""
        return [each for each in self.claims if not each[1].leased or each[2].epoch < self.engine.claim(each[2].phase_id).epoch]

    @precondition(lambda self: self.past())
    @rule(at=choices)
    def late(self, at: int) -> None:
        """A runner that lost its phase, or has reported, says more."""
        again = [each for each in self.past() if each[1].leased]
        run, phase, claim = self.pick(at, again or self.past())
        offers: list[Awaitable[Any]] = [
            self.engine.phases.renew(claim),
            self.engine.phases.append_log(claim, 0, b"late"),
            self.engine.phases.claim(claim, Claim(runner="host 1")),
            self.engine.phases.report(claim, Report(status="finished", has_changes=True, additions=99)),
        ]
        for offer in offers:
            with suppress(LeaseLost):
                self.do(offer)
                raise AssertionError("a late runner was heard")
        if phase.kind == "apply":
            self._bring(run, claim, at)

    def _bring(self, run: ModelRun, claim: PhaseClaim, at: int) -> None:
        """The state that a late runner holds: kept beside, or awaited; not any more when it comes too late."""
        ended = self.do(self.engine.phase(claim.phase_id)).finished_at or run.canceled_at
        if ended is not None and self.stage.clock.now() > ended + RESCUE:
            with pytest.raises(LeaseLost):
                self.do(self.engine.put_state(claim, run.workspace.serial))
            return
        fits = self.model.late_state(run)
        answer = self.do(self.engine.put_state(claim, run.workspace.serial if fits else 1000 + at))
        assert answer["rescued"] is not fits
        self.do(self._jobs())

    @precondition(lambda self: any(phase.kind == "apply" for _, phase, _ in self.phases("running")))
    @rule(at=choices, comes=st.booleans())
    def cut_off(self, at: int, comes: bool) -> None:
        """The runner of an apply that is cancelled is not heard any more; perhaps it is back in time."""
        run, _, ident = self.pick(at, [each for each in self.phases("running") if each[1].kind == "apply"])
        claim = self.engine.claim(ident)
        if run.canceled_at is None:
            self.both(lambda: self.model.cancel(run), self.engine.runs.cancel(self.engine.admin, self._id_of(run)))
        while not run.is_final:
            self.stage.clock.advance(seconds=10)
            self.model.now = self.stage.clock.now()
            self.look()
        if comes:
            self._bring(run, claim, at)

    @precondition(lambda self: self.phases("launched", "running"))
    @rule(at=choices)
    def die(self, at: int) -> None:
        _, phase, ident = self.pick(at, self.phases("running") or self.phases("launched"))
        phase.dead = True
        for fake in self.engine.backend.phases.values():
            if fake.spec.phase_id == ident:
                fake.running = False
        self.look()
        self.look()

    # -- time

    @rule()
    def look(self) -> None:
        before = {ident for _, _, ident in self.phases("queued")}
        number = self.model.look()
        known = set(self.engine.backend.phases)
        self.do(self.engine.dispatch())
        new = [fake.spec.phase_id for key, fake in self.engine.backend.phases.items() if key not in known]
        assert len(new) == number
        assert set(new) <= before
        for _, phase, ident in self.phases("queued"):
            if ident in new:
                self.model.launched(phase)
        waiting = [phase.kind for _, phase, ident in self.phases("queued") if ident in before]
        assert "apply" not in waiting or all(ident.startswith("apply-") for ident in new), "a plan was launched before an apply"
        self.do(self._jobs())

    @rule(rounds=st.integers(1, 8), seed=choices)
    def silence(self, rounds: int, seed: int) -> None:
        """Time passes; some runners are heard, the others are not."""
        chosen = random.Random(seed)
        heard = {ident for _, _, ident in self.phases("running") if chosen.random() < 0.5}
        for _ in range(rounds):
            self.stage.clock.advance(seconds=10)
            self.model.now = self.stage.clock.now()
            for _, phase, ident in self.phases("running"):
                if ident in heard and not phase.dead:
                    self.do(self.engine.phases.renew(self.engine.claim(ident)))
                    phase.lease = self.model.now
            self.look()

    @rule()
    def sweep(self) -> None:
        self.both(self.model.sweep, self._sweep())

    async def _sweep(self) -> None:
        (sweep,) = [each for each in self.engine.terrapod.jobs.periodic if each.name == "runs.release-awaited"]
        await sweep.run()

    @rule(minutes=st.sampled_from([-60, 1, 60]))
    def outage(self, minutes: int) -> None:
        """The server was down, or its clock was put right by an hour: nobody loses anything by that alone."""
        self.stage.clock.advance(minutes=minutes)
        self.model.now = self.stage.clock.now()
        before = {ident: run.status for ident, (run, _) in self.shown.items() if not run.plan.dead and not run.apply.dead}
        self.look()
        for ident, status in before.items():
            run = self.shown[ident][0]
            assert run.status == status or run.canceled_at is not None

    # -- what must be true at any time

    @invariant()
    def the_server_says_what_the_model_says(self) -> None:
        if not getattr(self, "shown", None):
            return
        page, workspaces, capacity, queue = self.do(self._seen())
        seen = {view.id: view for view in page}
        for ident, (run, _) in self.shown.items():
            view = seen[ident]
            assert view.run.status == run.status
            assert self.over.setdefault(ident, run.status) == run.status if run.is_final else ident not in self.over
            waiting = view.waiting_on
            assert (waiting.code if waiting else None) == run.waits_for
            self._says_the_truth(view, run)
        for (model, _, _), workspace in zip(self.places, workspaces, strict=True):
            self._held_by_one(model, workspace, [view for view in page if view.workspace.id == workspace.id])
        waiting = [run for run, _ in self.shown.values() if run.status in ("pending", "plan_queued", "apply_queued")]
        running = [run for run, _ in self.shown.values() if run.status in ("planning", "applying")]
        assert capacity == (len(waiting), len(running))
        assert [view.position for view in queue] == [len(running) + place for place in range(len(waiting))]

    def _says_the_truth(self, view: RunView, run: ModelRun) -> None:
        """The sentence of a waiting run names who is in its way."""
        detail = view.waiting_on.detail if view.waiting_on is not None else ""
        holder = run.workspace.holder
        if run.status == "pending" and isinstance(holder, ModelRun):
            assert self._id_of(holder) in detail
        elif run.status == "pending":
            assert "hands off" in detail

    def _held_by_one(self, model: ModelWorkspace, workspace: Workspace, views: list[RunView]) -> None:
        if model.holder == PERSON:
            assert workspace.lock_kind == "user"
        elif isinstance(model.holder, ModelRun):
            assert (workspace.lock_kind, workspace.lock_holder_id) == ("run", self._id_of(model.holder))
            explained = "state-awaited" in [each["code"] for each in self.engine.terrapod.conditions.of(workspace)]
            assert explained is model.holder.is_final is (model.until is not None)
        else:
            assert workspace.lock_kind is None
        going = {*CANCELABLE, "planned"} - {"pending"}
        holders = [view.id for view in views if view.run.holds_workspace and view.run.status in going]
        holders += [view.id for view in views if view.run.save_plan and view.run.status in ("apply_queued", "applying")]
        assert holders == ([self._id_of(model.holder)] if isinstance(model.holder, ModelRun) and model.until is None else [])

    def _id_of(self, run: ModelRun) -> str:
        return next(ident for ident, (each, _) in self.shown.items() if each is run)

    async def _seen(self) -> tuple[list[RunView], list[Workspace], tuple[int, int], list[RunView]]:
        runs, admin = self.engine.runs, self.engine.admin
        views: list[RunView] = []
        for number in range(1, 1 + -(-len(self.shown) // 100)):
            views += (await runs.page(admin, PageRequest(number, 100), ALL)).items
        workspaces = [await self.engine.terrapod.workspaces.read(admin, workspace.id) for _, workspace, _ in self.places]
        return views, workspaces, await runs.capacity(), list((await runs.queue(admin, PageRequest(1, 100))).items)


def check(databases: Databases, data: Path, *, examples: int, steps: int, derandomize: bool) -> None:
    """Live so many lives of so many steps."""
    stage = Stage(databases, data)
    try:
        run_state_machine_as_test(
            type("Lives", (Lives,), {"stage": stage}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=derandomize,
                phases=[Phase.generate] if derandomize else [Phase.generate, Phase.shrink],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        stage.close()
        databases.drop(stage.url)


@pytest.mark.slow
def test_runs_do_what_the_model_says_whatever_happens(databases: Databases, tmp_path: Path) -> None:
    check(databases, tmp_path, examples=10, steps=40, derandomize=True)

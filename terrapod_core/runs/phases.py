"""The server's side of the phase protocol (docs/reference/phase-protocol.md): what a runner may ask and tell about its phase."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.configurations import Configurations
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, NotFound
from terrapod_core.metrics.definitions import QUEUE_SECONDS
from terrapod_core.plugin import Stage
from terrapod_core.runs import queries, queue, tracing
from terrapod_core.runs.checking import Checking, Verdict
from terrapod_core.runs.engines_offered import EnginesOffered
from terrapod_core.runs.history import note
from terrapod_core.runs.logs import CHUNK_BYTES, Logs
from terrapod_core.runs.material import Materials
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import NOTHING_SAID, Outcomes
from terrapod_core.runs.registry_uses import RegistryUses
from terrapod_core.runs.requests import Claim, Report, Started
from terrapod_core.runs.status import Cancel, PhaseStatus, RunStatus
from terrapod_core.states import States
from terrapod_core.states.phases import Standing
from terrapod_core.storage import ObjectKind, Objects, PhaseClaim, Stored
from terrapod_core.storage.claims import Claim as Naming, Claims
from terrapod_core.storage.discards import discard, remove_discarded
from terrapod_core.workspaces import Workspace, queries as workspaces_queries

LEASE: Final = timedelta(seconds=60)
"""A runner that is not heard for this long, while the server was up to hear it, has lost its phase."""

PHASE_LIFE: Final = timedelta(days=2)
"""How long a phase's token is good; its lease ends it earlier."""

RESCUE: Final = timedelta(minutes=30)
"""How long a runner whose lease is over may still hand in the state it holds."""

ARTIFACT_COLUMNS: Final = {
    ObjectKind.PLAN_FILE: "plan_file_key",
    ObjectKind.PLAN_JSON: "plan_json_key",
    ObjectKind.PROVIDER_SCHEMAS: "provider_schemas_key",
}

SEEN_AFTER: Final = timedelta(seconds=3)
"""terraform asks for a plan's end at most two seconds after it; an apply that it then finds failed, it never shows."""

WITHHELD: Final = "This run's configuration is untrusted: it is planned without the workspace's sensitive variables.\n"

LOG_FULL: Final = "\n[the log is longer than the limit; terraform goes on, the rest is not kept]\n"


class LeaseLost(Conflict):
    """The phase is somebody else's now, or has ended."""

    def __init__(self) -> None:
        super().__init__("this phase is not yours any more: stop", code="lease_lost", meta={"lost": True})


@dataclass(frozen=True)
class Held:
    """What a call works on; the run's workspace, the run and the phase are locked."""

    workspace: Workspace
    run: Run
    phase: Phase


class Phases:
    """One method a call of the protocol; each first proves that the caller's lease is the phase's."""

    def __init__(
        self,
        db: Database,
        objects: Objects,
        logs: Logs,
        states: States,
        configurations: Configurations,
        materials: Materials,
        outcomes: Outcomes,
        registry_uses: RegistryUses,
        engines: EnginesOffered,
        checking: Checking,
        log_limit: int,
    ) -> None:
        self._db = db
        self._objects = objects
        self._claims = Claims(objects)
        self._logs = logs
        self._states = states
        self._configurations = configurations
        self._materials = materials
        self._outcomes = outcomes
        self._registry_uses = registry_uses
        self._engines = engines
        self._checking = checking
        self._log_limit = log_limit

    async def claim(self, claim: PhaseClaim, who: Claim) -> dict[str, Any]:
        """Take the phase: the run begins to plan or to apply. The same runner may ask again and gets the same."""
        denied = (await self._verdict(claim, Stage.APPLYING)).denied if claim.phase == "apply" else None
        async with self._db.uow() as uow:
            held = await self._held(uow, claim)
            phase, run = held.phase, held.run
            if phase.claimed_by is None and phase.cancel != Cancel.NONE:
                await self._outcomes.canceled(uow, held.workspace, run, phase)
                uow.wake(PHASES)
                await uow.commit()
                raise LeaseLost
            if phase.claimed_by is None:
                refusal = await self._outcomes.refusal(uow, held.workspace, run, phase)
                refusal = refusal or (f"nothing was changed: {denied}" if denied is not None else None)
                refusal = refusal or await self._materials.refusal(uow, run, held.workspace, phase)
                if refusal is not None:
                    await self._outcomes.failed(uow, held.workspace, run, phase, refusal)
                    uow.wake(PHASES)
                    await uow.commit()
                    raise LeaseLost
                phase.claimed_by = who.runner
                phase.status = PhaseStatus.RUNNING.value
                tracing.waited(uow, run, phase)
                phase.started_at = uow.now()
                _note_wait(uow, phase)
                phase.mirror_failure = None
                self._logs.open(uow, phase)
                if self._materials.withholds(held.workspace, run):
                    self._logs.say(uow, phase, WITHHELD)
                queue.move(uow, run, RunStatus.PLANNING if phase.kind == "plan" else RunStatus.APPLYING)
                note(uow, run, run.status, f"a runner has begun the {phase.kind}")
            elif phase.claimed_by != who.runner:
                raise LeaseLost
            phase.lease_expires_at = uow.now() + LEASE
            material = await self._materials.of(uow, held.workspace, run, phase, claim)
            await uow.commit()
        return material

    async def engine(self, claim: PhaseClaim, tool: str, version: str, os: str, arch: str) -> dict[str, Any]:
        """An engine of the binary cache, or why there is none."""
        await self._read(claim)
        return await self._engines.find(tool, version, os, arch)

    async def started(self, claim: PhaseClaim, engine: Started) -> None:
        """Note which engine makes the plan; its apply will need the same."""
        async with self._db.uow() as uow:
            held = await self._held(uow, claim)
            if held.phase.kind == "plan":
                held.run.engine = engine.tool
                held.run.terraform_version = engine.version
                await uow.commit()

    async def configuration(self, claim: PhaseClaim) -> tuple[AsyncIterator[bytes], int]:
        """The archive to unpack, and its size in bytes."""
        run = await self._read(claim)
        return await self._configurations.content_of(run.configuration_version_id)

    async def state(self, claim: PhaseClaim) -> tuple[AsyncIterator[bytes], int | None] | None:
        """The workspace's current state and its size; `None` when there is none."""
        run = await self._read(claim)
        current = await self._db.read(lambda session: self._states.current(session, run.workspace_id)) if not run.of_fork else None
        return None if current is None else (self._states.content(current), current.size)

    async def plan_file(self, claim: PhaseClaim) -> AsyncIterator[bytes]:
        """The plan that this apply applies; `NotFound` when it is gone."""
        run = await self._read(claim)
        plan = await self._db.read(lambda session: session.get_one(Phase, run.plan_id))
        if plan.plan_file_key is None:
            raise NotFound("the saved plan is gone; make a new plan")
        return self._objects.get(ObjectKind.PLAN_FILE, run.plan_id, plan.plan_file_key)

    async def append_log(self, claim: PhaseClaim, offset: int, data: bytes) -> dict[str, Any]:
        """Add text at `offset` (in the runner's own bytes). `Conflict` with `meta.size` when that is not the end."""
        if len(data) > CHUNK_BYTES:
            raise Invalid(f"at most {CHUNK_BYTES} bytes can be sent at once")
        async with self._db.uow() as uow:
            phase = await self._phase(uow, claim)
            size = phase.log_size - phase.log_head
            if offset != size:
                raise Conflict(f"the log holds {size} bytes", meta={"size": size})
            if phase.log_size + len(data) > self._log_limit:
                raise Conflict("the log is full", code="log_full", meta={"size": size, "full": True})
            self._logs.append(uow, phase, data)
            self._renew(uow, phase)
            await uow.commit()
        return {"size": size + len(data), "cancel": phase.cancel}

    async def renew(self, claim: PhaseClaim) -> dict[str, Any]:
        """Keep the lease, and hear whether to stop."""
        async with self._db.uow() as uow:
            phase = await self._phase(uow, claim)
            self._renew(uow, phase)
            await uow.commit()
        return {"cancel": phase.cancel}

    async def put_artifact(self, claim: PhaseClaim, kind: ObjectKind, chunks: AsyncIterator[bytes], limit: int) -> dict[str, Any]:
        """Keep the plan file, the plan's JSON or the providers' schemas of a plan; the last whole one counts."""
        if claim.phase != "plan":
            raise Conflict("an apply makes no plan")
        await self._read(claim)
        stored = await self._objects.put(kind, claim.phase_id, chunks, limit=limit)
        if await self._claims.settle(stored, partial(self._name_artifact, claim, kind, stored)):
            await remove_discarded(self._db, self._objects)
        return {"digest": stored.sha256}

    async def _name_artifact(self, claim: PhaseClaim, kind: ObjectKind, stored: Stored, named: Naming) -> bool:
        """Write the object's key into the plan's row; whether it replaces another one."""
        column = ARTIFACT_COLUMNS[kind]
        async with self._db.uow() as uow:
            phase = await self._phase(uow, claim)
            replaced: str | None = getattr(phase, column)
            discard(uow, [replaced])
            setattr(phase, column, stored.key)
            if kind is ObjectKind.PLAN_FILE:
                phase.plan_file_digest = stored.sha256
            named.make()
            await uow.commit()
        return replaced is not None

    async def put_state(self, claim: PhaseClaim, serial: int, lineage: str, md5: str, chunks: AsyncIterator[bytes]) -> dict[str, Any]:
        """Keep a state terraform wrote. For half an hour a runner whose lease is over may hand in what it holds, to be kept beside."""
        if claim.phase != "apply":
            raise Conflict("a plan writes no state")
        workspace_id = await self._db.read(lambda session: queries.workspace_of(session, claim.run_id))
        if workspace_id is None:
            raise LeaseLost
        version = await self._states.deposits.put(
            workspace_id,
            claim.run_id,
            Actor(ActorKind.PHASE, claim.phase_id, f"the apply of {claim.run_id}"),
            serial=serial,
            lineage=lineage,
            md5=md5,
            chunks=chunks,
            standing=lambda session: self._standing(session, claim),
        )
        return {"state-version": version.id, "rescued": version.rescued}

    def _standing(self, session: Session, claim: PhaseClaim) -> Standing:
        """How the runner stands to its apply now; `LeaseLost` when not even its state is taken any more."""
        query = select(Phase.epoch, Phase.finished_at, Run.canceled_at).join(Run, Run.id == Phase.run_id)
        found = session.execute(query.where(Phase.id == claim.phase_id)).one_or_none()
        if found is None:
            raise LeaseLost
        epoch, finished_at, canceled_at = found
        if finished_at is None and epoch == claim.epoch:
            return Standing.HOLDER
        over = finished_at or canceled_at
        if over is None or self._db.clock.now() > over + RESCUE:
            raise LeaseLost
        return Standing.CANCELED if canceled_at is not None else Standing.LOST

    async def until_seen(self, claim: PhaseClaim, report: Report) -> None:
        """Keep back the failure of an apply that began by itself until terraform has had time to see it begin.

        Otherwise `terraform apply -auto-approve` prints the plan, exits with 1, and never says what went wrong.
        """
        if claim.phase == "apply" and report.status != "finished":
            await asyncio.sleep(await self._db.read(lambda session: self._unseen_seconds(session, claim)))

    def _unseen_seconds(self, session: Session, claim: PhaseClaim) -> float:
        run = session.get(Run, claim.run_id)
        plan = session.get(Phase, run.plan_id) if run is not None and run.auto_apply else None
        if plan is None or plan.finished_at is None:
            return 0.0
        return max(0.0, (plan.finished_at + SEEN_AFTER - self._db.clock.now()).total_seconds())

    async def report(self, claim: PhaseClaim, report: Report) -> None:
        """How it ended. The same report again is fine; another one after it is not."""
        digest = hashlib.sha256(msgspec.json.encode(report)).hexdigest()
        finished = claim.phase == "plan" and report.status == "finished"
        verdict = await self._verdict(claim, Stage.PLANNED, has_changes=report.has_changes) if finished else NOTHING_SAID
        async with self._db.uow() as uow:
            known = await uow.session.get(Phase, claim.phase_id)
            if known is not None and known.report_digest == digest and known.epoch == claim.epoch:
                return
            held = await self._held(uow, claim)
            held.phase.report_digest = digest
            await self._outcomes.reported(uow, held.workspace, held.run, held.phase, report, verdict)
            await self._registry_uses.reported(uow, held.run, held.phase, report)
            if held.phase.kind == "apply":
                await self._states.deposits.end(uow, held.workspace, held.run.id)
            actor = Actor(ActorKind.PHASE, claim.phase_id, f"the {held.phase.kind} of {held.run.id}")
            audit.record(uow, actor, f"run.{held.phase.kind}-ended", "runs", held.run.id, status=report.status)
            uow.wake(PHASES)
            await uow.commit()

    async def _verdict(self, claim: PhaseClaim, stage: Stage, *, has_changes: bool | None = None) -> Verdict:
        """What others say of the run, if the phase is still the caller's; whether it is, the transaction that follows decides."""
        try:
            return await self._checking.verdict(
                claim.run_id, stage, has_changes=has_changes, first=lambda session: _mine(session.get(Phase, claim.phase_id), claim)
            )
        except LeaseLost:
            return NOTHING_SAID

    # -- whose it is

    def _renew(self, uow: UnitOfWork, phase: Phase) -> None:
        phase.lease_expires_at = uow.now() + LEASE

    async def _read(self, claim: PhaseClaim) -> Run:
        def look(session: Session) -> Run:
            phase = session.get(Phase, claim.phase_id)
            _mine(phase, claim)
            return session.get_one(Run, claim.run_id)

        return await self._db.read(look)

    async def _phase(self, uow: UnitOfWork, claim: PhaseClaim) -> Phase:
        phase = await uow.session.get(Phase, claim.phase_id, with_for_update=True, populate_existing=True)
        return _mine(phase, claim)

    async def _held(self, uow: UnitOfWork, claim: PhaseClaim) -> Held:
        """Workspace, run, phase, locked in that order everywhere, so that no two transactions wait for each other."""
        workspace_id = (await uow.session.execute(select(Run.workspace_id).where(Run.id == claim.run_id))).scalar_one_or_none()
        if workspace_id is None:
            raise LeaseLost
        workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id))
        run = await uow.session.get(Run, claim.run_id, with_for_update=True, populate_existing=True)
        phase = await self._phase(uow, claim)
        if workspace is None or run is None:
            raise LeaseLost
        return Held(workspace, run, phase)


def _note_wait(uow: UnitOfWork, phase: Phase) -> None:
    if phase.queued_at is not None:
        waited = (uow.now() - phase.queued_at).total_seconds()
        uow.then(partial(QUEUE_SECONDS.labels(phase.kind).observe, waited))


def _mine(phase: Phase | None, claim: PhaseClaim) -> Phase:
    if phase is None or phase.is_final or phase.epoch != claim.epoch:
        raise LeaseLost
    return phase


__all__ = ["LEASE", "LeaseLost", "Phases"]

"""What runs used of the registry, told to it as their phases end."""

from __future__ import annotations

from terrapod_core.db import UnitOfWork
from terrapod_core.registry.uses.consumers import Consumers, Using
from terrapod_core.runs.engine import answering_for
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import ActorOf
from terrapod_core.runs.requests import Report


class RegistryUses:
    """Says whose run it was, and whether its configuration is in force now."""

    def __init__(self, consumers: Consumers, actor_of: ActorOf) -> None:
        self._consumers = consumers
        self._actor_of = actor_of

    async def reported(self, uow: UnitOfWork, run: Run, phase: Phase, report: Report) -> None:
        """Pass on what a report says, in the transaction that ends the phase; nothing when its runner does not know."""
        if report.uses is None:
            return
        answering = await uow.run(lambda session: answering_for(session, run, phase.kind, self._actor_of))
        # An apply that failed has changed something, perhaps. A plan without changes says what is in force already.
        agrees = report.status == "finished" and not report.has_changes and not run.plan_only
        using = Using(run.workspace_id, run.id, in_force=phase.kind == "apply" or agrees, answering=answering)
        await self._consumers.note(uow, using, report.uses)

"""What terraform itself may ask of this server during a run: the state of its own workspace, and of those that share theirs with it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, ActorKind, EngineRights
from terrapod_core.db import Database
from terrapod_core.errors import Unauthorized
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import Cancel, PhaseStatus
from terrapod_core.storage import Holder, PhaseClaim, PhaseTokens
from terrapod_core.storage.phase_tokens import PREFIXES
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.models import RemoteStateConsumer

ENGINE_PREFIX: Final = PREFIXES[Holder.ENGINE]


class Engines:
    """Asks whose an engine's token is. Nothing is remembered: what ends, ends at once."""

    def __init__(self, db: Database, tokens: PhaseTokens) -> None:
        self._db = db
        self._tokens = tokens

    async def authenticate(self, text: str) -> Actor | None:
        """The engine of a phase that goes on now; `None` for any other text, and once the phase ended, was cancelled or lost."""
        try:
            claim = self._tokens.verify(text, holder=Holder.ENGINE)
        except Unauthorized:
            return None
        rights = await self._db.read(lambda session: rights_of(session, claim))
        return Actor(ActorKind.PHASE, claim.phase_id, f"the engine of {claim.run_id}", engine=rights) if rights is not None else None


def rights_of(session: Session, claim: PhaseClaim) -> EngineRights | None:
    """What the engine may read, in one query; `None` when the phase does not run under this claim's lease any more.

    Whoever starts a run may download its workspace's state (both are the level plan). States of other workspaces are
    given to trusted runs alone: an untrusted one could be anybody's way to read them.
    """
    query = (
        select(Workspace.id, Run.trusted, RemoteStateConsumer.workspace_id)
        .select_from(Phase)
        .join(Run, Run.id == Phase.run_id)
        .join(Workspace, Workspace.id == Run.workspace_id)
        .outerjoin(RemoteStateConsumer, RemoteStateConsumer.consumer_id == Workspace.id)
        .where(
            Phase.id == claim.phase_id,
            Phase.run_id == claim.run_id,
            Phase.epoch == claim.epoch,
            Phase.status == PhaseStatus.RUNNING.value,
            Phase.claimed_by.is_not(None),
            Phase.cancel == Cancel.NONE.value,
            Workspace.deleted_at.is_(None),
        )
    )
    rows = session.execute(query).all()
    if not rows:
        return None
    workspace_id, trusted = rows[0][0], bool(rows[0][1])
    sharing = frozenset(row[2] for row in rows if trusted and row[2] is not None)
    return EngineRights(workspace_id, sharing, reads_shared_with_all=trusted)

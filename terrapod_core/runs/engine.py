"""What terraform itself may ask of this server during a run: the state of its own workspace, and of those that share theirs with it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Actor, ActorKind, EngineRights
from terrapod_core.configurations import queries as configurations_queries
from terrapod_core.db import Database
from terrapod_core.errors import Unauthorized
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import ActorOf
from terrapod_core.runs.status import Cancel, PhaseStatus
from terrapod_core.storage import Holder, PhaseClaim, PhaseTokens
from terrapod_core.storage.phase_tokens import PREFIXES
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.models import RemoteStateConsumer

ENGINE_PREFIX: Final = PREFIXES[Holder.ENGINE]


class Engines:
    """Asks whose an engine's token is. Nothing is remembered: what ends, ends at once."""

    def __init__(self, db: Database, tokens: PhaseTokens, actor_of: ActorOf) -> None:
        self._db = db
        self._tokens = tokens
        self._actor_of = actor_of

    async def authenticate(self, text: str) -> Actor | None:
        """The engine of a phase that goes on now; `None` for any other text, and once the phase ended, was cancelled or lost."""
        try:
            claim = self._tokens.verify(text, holder=Holder.ENGINE)
        except Unauthorized:
            return None
        rights = await self._db.read(lambda session: rights_of(session, claim, self._actor_of))
        return Actor(ActorKind.PHASE, claim.phase_id, f"the engine of {claim.run_id}", engine=rights) if rights is not None else None


def rights_of(session: Session, claim: PhaseClaim, actor_of: ActorOf) -> EngineRights | None:
    """What the engine may read; `None` when the phase does not run under this claim's lease any more.

    Whoever starts a run may download its workspace's state (both are the level plan). States of other workspaces are
    given to trusted runs alone: an untrusted one could be anybody's way to read them. A foreign one reads nothing.

    Of the registry it reads what the one who answers for the phase may read now. What an untrusted run executes was written by somebody
    else, perhaps: then by both.
    """
    query = (
        select(Workspace.id, Run.trusted, RemoteStateConsumer.workspace_id, Run, Phase.kind)
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
    run, kind = rows[0][3], rows[0][4]
    if run.of_fork:
        return EngineRights(workspace_id="")  # no workspace's
    answering = answering_for(session, run, kind, actor_of)
    return EngineRights(workspace_id, sharing, reads_shared_with_all=trusted, answering=answering)


def answering_for(session: Session, run: Run, kind: str, actor_of: ActorOf) -> tuple[Actor, ...]:
    """Those whose rights on the registry the engine has: none, when one of them is gone or disabled."""
    ids = [(run.confirmed_by_id if kind == "apply" else None) or run.created_by_id]
    if not run.trusted:
        configuration = configurations_queries.by_id(session, run.configuration_version_id)
        ids.append(configuration.created_by_id if configuration is not None else None)
    actors = [SYSTEM if each is None else actor_of(session, each) for each in dict.fromkeys(ids)]
    return tuple(each for each in actors if each is not None) if None not in actors else ()

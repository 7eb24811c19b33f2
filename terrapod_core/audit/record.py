"""Writing entries."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from terrapod_core import ids
from terrapod_core.audit.models import AuditEntry
from terrapod_core.authz import Actor
from terrapod_core.db import Database, UnitOfWork


@dataclass(frozen=True)
class RequestInfo:
    """What an entry says about the request it came in."""

    id: str
    address: str | None


REQUEST: Final[ContextVar[RequestInfo | None]] = ContextVar("terrapod_request", default=None)
"""The request being served; `None` in background work. Set by `web`."""


def record(uow: UnitOfWork, actor: Actor, action: str, resource_type: str, resource_id: str, **detail: Any) -> None:
    """Note a change in its own transaction: both are kept, or neither. `detail` holds names and values, never a secret."""
    uow.append(AuditEntry, **_values(uow.now(), actor, action, resource_type, resource_id, "allowed", detail))


async def refused(db: Database, actor: Actor, action: str, resource_type: str, resource_id: str, **detail: Any) -> None:
    """Note a refusal, in a transaction of its own: the refused change's was rolled back."""
    async with db.uow() as uow:
        uow.add(entry(db.clock.now(), actor, action, resource_type, resource_id, "refused", detail))
        await uow.commit()


def entry(
    at: datetime, actor: Actor, action: str, resource_type: str, resource_id: str, outcome: str, detail: dict[str, Any]
) -> AuditEntry:
    """An entry about the request being served, not yet in any transaction."""
    return AuditEntry(**_values(at, actor, action, resource_type, resource_id, outcome, detail))


def _values(
    at: datetime, actor: Actor, action: str, resource_type: str, resource_id: str, outcome: str, detail: dict[str, Any]
) -> dict[str, Any]:
    request = REQUEST.get()
    return {
        "id": ids.new("audit"),
        "at": at,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "action": action,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "outcome": outcome,
        "detail": {**detail, "via": actor.via} if actor.via is not None else detail,
        "request_id": request.id if request else None,
        "address": request.address if request else None,
    }

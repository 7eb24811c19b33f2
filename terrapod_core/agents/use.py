"""Who may send runs to a pool."""

from __future__ import annotations

from sqlalchemy.orm import Session

from terrapod_core.agents import queries
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.errors import Forbidden, Invalid


def check_use(authz: Authorizer, session: Session, actor: Actor, pool_id: str, pointer: str) -> None:
    """Pass when the actor may have runs carried out by the pool of this id, which stands at `pointer` of a document.

    Raises `Invalid` when it is not there or the actor may not read it, in one sentence; `Forbidden` when it may, but has no write.
    """
    pool = queries.pool(session, pool_id)
    if pool is None or not authz.allows(actor, Permission.POOL_READ, pool):
        raise unusable(pointer)
    if not authz.allows(actor, Permission.POOL_USE, pool):
        level = authz.level(actor, pool).name.lower()
        raise Forbidden(f"sending runs to the pool {pool.name} needs the level write on it; you have {level}", code="level_too_low")


def unusable(pointer: str) -> Invalid:
    """What is said of a pool that is not there, or not for the one who names it."""
    return Invalid("there is no such agent pool, or you may not see it", pointer=pointer)

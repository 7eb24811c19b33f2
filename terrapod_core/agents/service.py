"""Pools: create, read, list, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.agents import queries
from terrapod_core.agents.documents import CreatePool, UpdatePool
from terrapod_core.agents.models import KIND, AgentPool, PoolLabel, in_order
from terrapod_core.agents.queries import UsersOfPools
from terrapod_core.authz import Actor, Authorizer, GuardKind, Permission, PlatformRole, reserved, visibility
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid
from terrapod_core.jsonapi import Page, Query

CHANGE: Final = "change agent pools"


class Pools:
    """go-tfe's `AgentPools`. Roles say who reads a pool; platform admins make and change them."""

    def __init__(self, db: Database, authz: Authorizer, users: UsersOfPools) -> None:
        self._db = db
        self._authz = authz
        self._users = users

    async def create(self, actor: Actor, new: CreatePool) -> AgentPool:
        """Make a pool; for platform admins. A name that a deleted pool had is given away again by that."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=CHANGE)
        new.check()
        async with self._db.uow() as uow:
            now = uow.now()
            pool = AgentPool(
                id=ids.new("apool"),
                name=new.name,
                service_account_name=new.service_account_name or None,
                labels=in_order(new.labels or {}),
                created_at=now,
                updated_at=now,
            )
            uow.add(pool)
            await _flush(uow)
            _label(uow, pool)
            await reserved.release(uow, KIND, [pool.name])
            audit.record(uow, actor, "agent-pool.create", "agent-pools", pool.id, name=pool.name)
            await self._seen(uow)
        return pool

    async def read(self, actor: Actor, pool_id: str) -> AgentPool:
        """The pool; `NotFound` when it is not there or not for this actor."""
        now = self._db.clock.now()

        def query(session: Session) -> AgentPool:
            pool = self.readable(actor, queries.pool(session, pool_id))
            self._complete(session, actor, [pool], now)
            return pool

        return await self._db.read(query)

    async def list(self, actor: Actor, query: Query) -> Page[AgentPool]:
        """One page of the pools that the actor may read."""
        now = self._db.clock.now()

        def read(session: Session) -> Page[AgentPool]:
            page = queries.pools(session, self._authz, actor, query)
            self._complete(session, actor, page.items, now)
            return page

        return await self._db.read(read)

    async def update(self, actor: Actor, pool_id: str, changes: UpdatePool) -> AgentPool:
        """Change what was sent; for platform admins. A name that it had stays reserved."""
        async with self._db.uow() as uow:
            pool = await self.changeable(uow, actor, pool_id)
            changes.check()
            before = pool.name, pool.service_account_name, pool.labels
            if changes.name is not UNSET and changes.name != pool.name:
                await reserved.release(uow, KIND, [changes.name])
                reserved.reserve(uow, KIND, pool.name)
                pool.name = changes.name
            if changes.service_account_name is not UNSET:
                pool.service_account_name = changes.service_account_name or None
            if changes.labels is not UNSET:
                pool.labels = in_order(changes.labels or {})
                await uow.session.execute(delete(PoolLabel).where(PoolLabel.pool_id == pool.id))
                _label(uow, pool)
            after = pool.name, pool.service_account_name, pool.labels
            if before != after:
                pool.updated_at = uow.now()
                names = ("name", "service-account-name", "labels")
                changed = [name for name, old, new in zip(names, before, after, strict=True) if old != new]
                audit.record(uow, actor, "agent-pool.update", "agent-pools", pool.id, name=pool.name, changed=changed)
            await uow.run(lambda session: self._complete(session, actor, [pool], uow.now()))
            await self._seen(uow)
        return pool

    async def delete(self, actor: Actor, pool_id: str) -> None:
        """Remove a pool with its tokens and what is left of its listeners; `Conflict` while one of those counts, or anything uses it."""
        async with self._db.uow() as uow:
            pool = await self.changeable(uow, actor, pool_id)
            now = uow.now()
            if await uow.run(lambda session: queries.has_live(session, pool_id, now)):
                raise Conflict(f"the pool {pool.name} has listeners that count; stop or revoke them first", code="listeners_live")
            used_by = await uow.run(lambda session: self._users.described(session, actor, pool_id))
            if used_by:
                raise Conflict(f"the pool {pool.name} is used by {used_by}; give them another execution mode first", code="pool_used")
            await uow.session.delete(pool)
            reserved.reserve(uow, KIND, pool.name)
            audit.record(uow, actor, "agent-pool.delete", "agent-pools", pool_id, name=pool.name)
            await self._seen(uow)

    def readable(self, actor: Actor, pool: AgentPool | None) -> AgentPool:
        """The pool when the actor may read it, else `NotFound`; for those that look one up themselves."""
        if pool is None or not self._authz.allows(actor, Permission.POOL_READ, pool):
            raise missing("agent pool")
        return pool

    async def changeable(self, uow: UnitOfWork, actor: Actor, pool_id: str) -> AgentPool:
        """The pool with its row locked. Raises `NotFound` when the actor may not read it, `Forbidden` unless it is a platform admin."""
        pool = self.readable(actor, await uow.run(lambda session: queries.pool_for_update(session, pool_id)))
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=CHANGE)
        return pool

    def _complete(self, session: Session, actor: Actor, found: Sequence[AgentPool], now: datetime) -> None:
        """Let each pool know its listeners that count and its workspaces; a query each for all of them."""
        queries.with_counts(session, found, now)
        users = self._users.workspaces(session, actor, [each.id for each in found]) if found else {}
        for each in found:
            each.workspace_ids = users.get(each.id, ())

    async def _seen(self, uow: UnitOfWork) -> None:
        await _flush(uow)
        await visibility.changed(uow, GuardKind.POOL)
        await uow.commit()


def _label(uow: UnitOfWork, pool: AgentPool) -> None:
    uow.add(*(PoolLabel(pool_id=pool.id, key=key, value=value) for key, value in pool.labels.items()))


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid("Name has already been taken", pointer="/data/attributes/name") from error

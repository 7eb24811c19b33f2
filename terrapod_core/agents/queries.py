"""Reading pools, tokens and listeners. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from terrapod_core.agents.models import GUARD, AgentPool, Listener, ListenerCertificate, PoolToken
from terrapod_core.agents.status import counts, has_status
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.errors import BadRequest
from terrapod_core.jsonapi import Page, PageRequest, Query


class UsersOfPools(Protocol):
    """What pools need to know of those that use them; the rooms above answer."""

    def workspaces(self, session: Session, actor: Actor, pool_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The ids of the workspaces of each of these pools that the actor may read; pools without any may be left out."""
        ...

    def described(self, session: Session, actor: Actor, pool_id: str) -> str:
        """How many use the pool, and the names of some that the actor may read; empty when none does."""
        ...


def pool(session: Session, pool_id: str) -> AgentPool | None:
    """The pool, or `None`; says nothing about who may see it."""
    return session.execute(select(AgentPool).where(AgentPool.id == pool_id)).scalar_one_or_none()


def pool_for_update(session: Session, pool_id: str) -> AgentPool | None:
    """The same, with its row locked until the transaction ends: whoever changes it, or joins it, starts here."""
    query = select(AgentPool).where(AgentPool.id == pool_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def visible(authz: Authorizer, actor: Actor) -> Select[AgentPool]:
    """The pools that the actor may read."""
    return authz.visible(select(AgentPool), actor, GUARD)


def pools(session: Session, authz: Authorizer, actor: Actor, query: Query) -> Page[AgentPool]:
    """One page of the pools that the actor may read, by name. Filters by allowed workspaces find all: pools are open to each."""
    found = visible(authz, actor)
    if query.q:
        found = found.where(AgentPool.name.icontains(query.q, autoescape=True))
    sort = query.sort[0] if query.sort else None
    column = AgentPool.created_at if sort is not None and sort.name == "created_at" else AgentPool.name
    order = column.desc() if sort is not None and sort.descending else column.asc()
    return _page(session, found.order_by(order, AgentPool.id), query.page)


def with_counts(session: Session, found: Sequence[AgentPool], now: datetime) -> None:
    """Let each pool know its `agent_count`; one query for all of them."""
    if not found:
        return
    query = select(Listener.pool_id, func.count()).where(Listener.pool_id.in_([each.id for each in found]), counts(now))
    numbers: dict[str, int] = {row[0]: row[1] for row in session.execute(query.group_by(Listener.pool_id))}
    for each in found:
        each.agent_count = numbers.get(each.id, 0)


def has_live(session: Session, pool_id: str, now: datetime) -> bool:
    """Whether a listener of the pool counts."""
    return session.execute(select(Listener.id).where(Listener.pool_id == pool_id, counts(now)).limit(1)).first() is not None


def tokens(session: Session, pool_id: str, page: PageRequest) -> Page[PoolToken]:
    """One page of a pool's join tokens, newest first."""
    found = select(PoolToken).where(PoolToken.pool_id == pool_id).order_by(PoolToken.created_at.desc(), PoolToken.id)
    return _page(session, found, page)


def token(session: Session, authz: Authorizer, actor: Actor, token_id: str) -> PoolToken | None:
    """A join token of a pool that the actor may read."""
    readable = authz.visible(select(AgentPool.id), actor, GUARD)
    query = select(PoolToken).where(PoolToken.id == token_id, PoolToken.pool_id.in_(readable))
    return session.execute(query).scalar_one_or_none()


def listeners(session: Session, pool_id: str, query: Query, now: datetime, busy: Select[str | None]) -> Page[Listener]:
    """One page of a pool's listeners, by name. Raises `BadRequest` for a `filter[last-ping-since]` that is no time."""
    found = select(Listener).where(Listener.pool_id == pool_id)
    status = query.filter("status")
    condition = has_status(status, now, busy) if status else None
    if condition is not None:
        found = found.where(condition)
    since = query.filter("last_ping_since")
    if since:
        found = found.where(Listener.last_seen_at >= _moment(since))
    descending = any(sort.descending for sort in query.sort)
    order = Listener.name.desc() if descending else Listener.name.asc()
    page = _page(session, found.order_by(order, Listener.created_at, Listener.id), query.page)
    with_busy(session, page.items, busy)
    return page


def with_busy(session: Session, found: Sequence[Listener], busy: Select[str | None]) -> None:
    """Let each listener know whether it is `busy`; one query for all of them."""
    at_work = select(Listener.id).where(Listener.id.in_([each.id for each in found]), Listener.id.in_(busy))
    ids = set(session.execute(at_work).scalars()) if found else set()
    for each in found:
        each.busy = each.id in ids


def listener(session: Session, authz: Authorizer, actor: Actor, listener_id: str, busy: Select[str | None]) -> Listener | None:
    """A listener of a pool that the actor may read."""
    readable = authz.visible(select(AgentPool.id), actor, GUARD)
    query = select(Listener).where(Listener.id == listener_id, Listener.pool_id.in_(readable))
    found = session.execute(query).scalar_one_or_none()
    with_busy(session, [found] if found is not None else [], busy)
    return found


def known(session: Session, listener_id: str, busy: Select[str | None]) -> Listener | None:
    """The listener; says nothing about who may see it."""
    found = session.get(Listener, listener_id)
    with_busy(session, [found] if found is not None else [], busy)
    return found


def listener_for_update(session: Session, listener_id: str) -> Listener | None:
    """The listener, with its row locked until the transaction ends."""
    query = select(Listener).where(Listener.id == listener_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def hear(session: Session, listener_ids: Collection[str], now: datetime) -> Collection[str]:
    """Note that these listeners are there; gives those that are trusted."""
    heard = update(Listener).where(Listener.id.in_(listener_ids), Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
    heard = heard.values(last_seen_at=now).execution_options(synchronize_session=False)
    return set(session.execute(heard.returning(Listener.id)).scalars())


def capacities(session: Session, listener_ids: Collection[str]) -> dict[str, int]:
    """How many phases at a time those of the listeners take that take any."""
    if not listener_ids:
        return {}
    takers = select(Listener.id, Listener.capacity).where(Listener.id.in_(listener_ids), Listener.draining.is_(False))
    takers = takers.where(Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
    return {row[0]: row[1] for row in session.execute(takers)}


def untrusted(session: Session, listener_ids: Collection[str]) -> Collection[str]:
    """Those of the listeners whose word counts no more: revoked, gone for good, or removed."""
    if not listener_ids:
        return ()
    good = select(Listener.id).where(Listener.id.in_(listener_ids), Listener.revoked_at.is_(None), Listener.exited_at.is_(None))
    return set(listener_ids) - set(session.execute(good).scalars())


def by_serial(session: Session, serial: str) -> tuple[Listener, ListenerCertificate] | None:
    """The certificate of this serial number, and whose it is."""
    query = select(Listener, ListenerCertificate).join(ListenerCertificate, ListenerCertificate.listener_id == Listener.id)
    row = session.execute(query.where(ListenerCertificate.serial == serial)).one_or_none()
    return None if row is None else (row[0], row[1])


def _moment(text: str) -> datetime:
    try:
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadRequest("filter[last-ping-since] must be a time as 2026-01-31T12:00:00Z", parameter="filter[last-ping-since]")
    return found


def _page(session: Session, found: Select[Any], page: PageRequest) -> Page[Any]:
    total = session.execute(select(func.count()).select_from(found.order_by(None).subquery())).scalar_one()
    rows = session.execute(found.limit(page.size).offset(page.offset)).scalars().all()
    return Page(rows, page.number, page.size, total)

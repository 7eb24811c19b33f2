"""A plugin's own tables, and nothing but them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import MetaData, Table, bindparam, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session, class_mapper
from sqlalchemy.sql.util import find_tables

from terrapod_core import audit
from terrapod_core.authz import SYSTEM
from terrapod_core.db import Database, LookUp, UnitOfWork
from terrapod_core.errors import Forbidden
from terrapod_core.extensions.callers import actor_of
from terrapod_core.extensions.models import PluginDelegate
from terrapod_core.plugin import Caller, Event, ForeignTable

T = TypeVar("T")
M = TypeVar("M", bound=DeclarativeBase)


class OwnTables:
    """The `PluginTables` of one plugin."""

    def __init__(self, plugin: str, db: Database, base: type[DeclarativeBase] | None) -> None:
        self._plugin = plugin
        self._db = db
        self._base = base
        self._by_key: dict[type[DeclarativeBase], LookUp[Any]] = {}

    async def read(self, query: Callable[[Session], T]) -> T:
        """Run a function over a session that only reads."""
        base = self._declared()
        return await self._db.read(lambda session: within(base, session, query))

    async def one(self, model: type[M], key: str | int) -> M | None:
        """The row with this primary key, of no session."""
        if not issubclass(model, self._declared()):
            raise ForeignTable(f"{model.__name__} is no table of the plugin {self._plugin}")
        if model not in self._by_key:
            (column,) = class_mapper(model).primary_key
            self._by_key[model] = LookUp(model, select(model).where(column == bindparam("key")))
        found: M | None = await self._db.look_up(self._by_key[model], key=key)
        return found

    @asynccontextmanager
    async def change(self) -> AsyncIterator[OwnChange]:
        """Begin a transaction."""
        base = self._declared()
        async with self._db.uow() as uow:
            yield OwnChange(self._plugin, uow, base)

    def _declared(self) -> type[DeclarativeBase]:
        if self._base is None:
            raise ForeignTable(f"the plugin {self._plugin} has no tables: its register_migrations declares no base")
        return self._base


class OwnChange:
    """One transaction: a `Change`."""

    def __init__(self, plugin: str, uow: UnitOfWork, base: type[DeclarativeBase]) -> None:
        self._plugin = plugin
        self._uow = uow
        self._base = base

    def add(self, *rows: Any) -> None:
        """Insert these rows of the plugin's models."""
        for row in rows:
            if not isinstance(row, self._base):
                raise ForeignTable(f"{type(row).__name__} is no table of the plugin {self._plugin}")
        self._uow.session.add_all(rows)

    async def run(self, query: Callable[[Session], T]) -> T:
        """Run a function over the plugin's tables; rows that were added are there."""

        def flushed(session: Session) -> T:
            session.flush()
            return within(self._base, session, query)

        return await self._uow.run(flushed)

    def now(self) -> datetime:
        """The present moment."""
        return self._uow.now()

    def emit(self, event: Event) -> None:
        """Tell everybody who listens, after the commit."""
        self._uow.emit(event)

    def audit(self, caller: Caller | None, action: str, kind: str, id_: str, **detail: Any) -> None:
        """Note who did what to which thing."""
        actor = actor_of(caller) if caller is not None else SYSTEM
        audit.record(self._uow, actor, action, kind, id_, **({"via": self._plugin} if caller is None else {}), **detail)

    async def remember(self, caller: Caller) -> None:
        """Let the plugin act for this user from now on."""
        actor = actor_of(caller)
        if not caller.is_user:
            raise Forbidden("only a user can have something done in their name later; show a user's token")
        session = self._uow.session
        if await session.get(PluginDelegate, (self._plugin, actor.id)) is None:
            # Somebody may do two things at once for the first time.
            insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            new = insert(PluginDelegate).values(plugin=self._plugin, user_id=actor.id, created_at=self._uow.now())
            await session.execute(new.on_conflict_do_nothing())

    async def commit(self) -> None:
        """Make it so."""
        await self._uow.commit()


def within(base: type[DeclarativeBase], session: Session, query: Callable[[Session], T]) -> T:
    """Run a query of a plugin while the session refuses every table but those of the base."""

    def check(state: ORMExecuteState) -> None:
        _refuse_others(base.metadata, state)

    event.listen(session, "do_orm_execute", check)
    try:
        return query(session)
    finally:
        event.remove(session, "do_orm_execute", check)


def _refuse_others(own: MetaData, state: ORMExecuteState) -> None:
    statement: Any = state.statement
    found = find_tables(statement, check_columns=True, include_crud=True, include_joins=True, include_selects=True)
    tables = [each for each in found if isinstance(each, Table)]
    # `session.get` asks with copies of the tables, so it is their metadata that says whose they are.
    others = {table.name for table in tables if table.metadata is not own}
    if others or not tables:
        raise ForeignTable(f"a plugin's session knows the plugin's tables alone, not {', '.join(sorted(others)) or 'bare text'}")

"""Actors as plugins see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.extensions.models import PluginDelegate
from terrapod_core.plugin import Caller

ActorOf: TypeAlias = Callable[[Session, str], Actor | None]
"""A user as they are now; `None` for one who is disabled or gone."""


class KnownCallers:
    """The `Callers` of one plugin."""

    def __init__(self, plugin: str, db: Database, current: Callable[[], Awaitable[Actor]], actor_of: ActorOf) -> None:
        self._plugin = plugin
        self._db = db
        self._current = current
        self._actor_of = actor_of

    async def current(self) -> Caller:
        """Whoever sent the request being served; raises `Unauthorized`."""
        return self._known(await self._current())

    async def remembered(self, user_id: str) -> Caller | None:
        """A user that the plugin was told to remember, as they are now."""

        def look(session: Session) -> Actor | None:
            if session.get(PluginDelegate, (self._plugin, user_id)) is None:
                return None
            return self._actor_of(session, user_id)

        actor = await self._db.read(look)
        return self._known(actor) if actor is not None else None

    def _known(self, actor: Actor) -> Caller:
        return Caller(
            id=actor.id,
            name=actor.name,
            is_user=actor.user_id is not None and actor.engine is None,
            is_platform_admin=actor.is_platform_admin,
            actor=replace(actor, via=self._plugin),
        )


def actor_of(caller: Caller) -> Actor:
    """The actor again; `TypeError` for a caller that somebody made up."""
    if not isinstance(caller.actor, Actor):
        raise TypeError("a Caller comes from `context.callers` alone")
    return caller.actor

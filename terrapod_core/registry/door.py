"""What the services of this room share: passing an item that an actor may do something to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from terrapod_core.authz import Actor, Authorizer, Guarded, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database

Thing = TypeVar("Thing", bound=Guarded)


@dataclass(frozen=True)
class Door:
    """The database and the gate before it."""

    db: Database
    authz: Authorizer

    def allowed(self, actor: Actor, permission: Permission, item: Thing | None, *, noun: str) -> Thing:
        """The item, when it is there and the actor may; else `NotFound` or `Forbidden`. `noun` is what people call it (`module`)."""
        if item is None:
            raise missing(noun)
        self.authz.require(actor, permission, item, noun=noun)
        return item

"""Who may do what with a connection: look at it, have workspaces use it, change it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.authz.matching import matches
from terrapod_core.errors import Forbidden, Invalid
from terrapod_core.vcs.models import Connection

NOUN: Final = "VCS connection"
CHANGE: Final = "change VCS connections"


class Reach(IntEnum):
    """How far somebody may go with a connection; each includes those before."""

    NONE = 0
    READ = 1
    USE = 2
    ADMIN = 3


def reach(actor: Actor, connection: Connection) -> Reach:
    """Platform admins change it; holders of one of its roles use it; platform auditors see it; nobody else knows of it."""
    if actor.is_platform_admin:
        return Reach.ADMIN
    if actor.scope is None and not {rule.name for rule in actor.roles.rules}.isdisjoint(connection.roles):
        return Reach.USE
    return Reach.READ if actor.reads_everything else Reach.NONE


def readable(actor: Actor, connection: Connection | None) -> Connection:
    """The connection when the actor may know of it, else `NotFound`."""
    if connection is None or reach(actor, connection) < Reach.READ:
        raise missing(NOUN)
    return connection


def changeable(authz: Authorizer, actor: Actor, connection: Connection | None) -> Connection:
    """The same for who may change it, else `Forbidden`."""
    found = readable(actor, connection)
    authz.require_platform(actor, PlatformRole.ADMIN, to=CHANGE)
    return found


def is_for(connection: Connection, project_id: str) -> bool:
    """Whether what is in this project may use the connection; empty for what is in none."""
    return project_id in connection.project_ids if connection.project_ids else connection.organization_scoped


def usable(actor: Actor, connection: Connection | None, project_id: str, path: str, pointer: str) -> Connection:
    """The connection when the actor may have something in this project follow this repository of it.

    Raises `Invalid` when it is not there or the actor may not know of it, in one sentence; `Forbidden` when it may, and may not use it.
    """
    if connection is None or reach(actor, connection) < Reach.READ:
        raise Invalid("there is no such VCS connection, or you may not see it", pointer=pointer)
    if reach(actor, connection) < Reach.USE:
        raise Forbidden(
            f"using the connection {connection.name} needs one of its roles ({', '.join(connection.roles) or 'it has none'})",
            code="connection_not_usable",
        )
    if not is_for(connection, project_id):
        raise Forbidden(f"the connection {connection.name} is for other projects than this one", code="connection_not_usable")
    if not any(matches(pattern, path) for pattern in connection.repositories):
        raise Forbidden(f"the connection {connection.name} may not be used for the repository {path}", code="repository_not_allowed")
    return connection

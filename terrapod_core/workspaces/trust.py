"""Names are trust: roles select by them, and so do people. What may be called what, and who may change it. Labels: `authz.trust`."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, GuardKind, Level
from terrapod_core.authz.reserved import reserved_among, roles_allowing
from terrapod_core.authz.trust import owns
from terrapod_core.errors import Forbidden, Invalid
from terrapod_core.workspaces.models import Workspace

KIND: Final = "workspace"
"""Of reserved names."""


def check_name(session: Session, actor: Actor, name: str) -> None:
    """Refuse a name that was another workspace's, or one that a role is about, unless the actor had it through that role anyway.

    A platform admin may take any. Raises `Invalid`.
    """
    if actor.is_platform_admin:
        return
    if reserved_among(session, KIND, [name]):
        raise _taken(
            f"Name {name} belonged to a workspace that was deleted or renamed, and others may trust it; "
            "only a platform admin may use it again"
        )
    writes = {rule.name for rule in actor.roles.rules if rule.level_on(GuardKind.WORKSPACE) >= Level.WRITE}
    for rule in roles_allowing(session, name):
        if rule.name not in writes or actor.roles.denied.means(name, {}):
            raise _taken(f"Name {name} is one that roles give access to; only a platform admin, or who may write there already, may use it")


def check_rename(actor: Actor, workspace: Workspace) -> None:
    """Refuse a new name by somebody who is admin by a role alone."""
    if not owns(actor, workspace):
        raise Forbidden("a workspace is renamed by its owner or a platform admin; names decide what roles reach", code="owner_needed")


def _taken(sentence: str) -> Invalid:
    return Invalid(sentence, pointer="/data/attributes/name")

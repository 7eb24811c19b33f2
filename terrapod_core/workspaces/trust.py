"""Names and labels are trust: roles select by them, and so do people. What may be called what, and who may change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, GuardKind, Level, Role
from terrapod_core.authz.reserved import label_keys_of_roles, reserved_among, roles_allowing
from terrapod_core.errors import Conflict, Forbidden, Invalid
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


def owns(actor: Actor, workspace: Workspace) -> bool:
    """Whether the actor is its owner or a platform admin, whom no role of others made so."""
    if actor.is_platform_admin:
        return True
    return actor.scope is None and actor.user_id is not None and workspace.owner_id == actor.user_id


def check_rename(actor: Actor, workspace: Workspace) -> None:
    """Refuse a new name by somebody who is admin by a role alone."""
    if not owns(actor, workspace):
        raise Forbidden("a workspace is renamed by its owner or a platform admin; names decide what roles reach", code="owner_needed")


def check_labels(
    session: Session, authz: Authorizer, actor: Actor, workspace: Workspace, new: Mapping[str, str | None], *, force: bool
) -> None:
    """Refuse to change labels that roles go by, unless by the owner or a platform admin, and to lock oneself out unasked."""
    old = workspace.labels
    changed = {key for key in {*old, *new} if (key in old) != (key in new) or old.get(key) != new.get(key)}
    if not changed:
        return
    if not owns(actor, workspace):
        taken = sorted(changed & label_keys_of_roles(session))
        if taken:
            raise Forbidden(
                f"the label {taken[0]} decides who may do what here; only the workspace's owner or a platform admin changes it",
                code="owner_needed",
            )
    if not force and _level_with(authz, actor, workspace, new) < authz.level(actor, workspace):
        raise Conflict(
            'with these labels you would lose rights on this workspace; PATCH it with "force": true to do it all the same',
            code="locks_you_out",
        )


def granted(session: Session, workspace: Workspace) -> dict[str, str]:
    """Which custom roles reach the workspace as it is now, and with what level; for the record of what a change meant."""
    found = {}
    for role in session.execute(select(Role).order_by(Role.name)).scalars():
        rule = role.rule()
        if rule.deny.means(workspace.name, workspace.labels):
            found[rule.name] = "deny"
        elif rule.allow.means(workspace.name, workspace.labels):
            found[rule.name] = rule.level_on(GuardKind.WORKSPACE).name.lower()
    return found


def _level_with(authz: Authorizer, actor: Actor, workspace: Workspace, labels: Mapping[str, str | None]) -> Level:
    return authz.level(actor, _Relabelled(workspace, labels))


class _Relabelled:
    """The workspace as the gate would see it with other labels."""

    guarded_as = GuardKind.WORKSPACE

    def __init__(self, workspace: Workspace, labels: Mapping[str, str | None]) -> None:
        self.id, self.owner_id, self.name, self.labels = workspace.id, workspace.owner_id, workspace.name, labels


def _taken(sentence: str) -> Invalid:
    return Invalid(sentence, pointer="/data/attributes/name")

"""Labels are trust: roles select by them. Who may change those of a thing, and what a change means."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz.actor import Actor
from terrapod_core.authz.gate import Authorizer, Guarded
from terrapod_core.authz.models import Role
from terrapod_core.authz.reserved import label_keys_of_roles
from terrapod_core.errors import Conflict, Forbidden


def owns(actor: Actor, on: Guarded) -> bool:
    """Whether the actor is its owner or a platform admin, whom no role of others made so."""
    if actor.is_platform_admin:
        return True
    return actor.scope is None and actor.user_id is not None and on.owner_id == actor.user_id


def check_labels(
    session: Session,
    authz: Authorizer,
    actor: Actor,
    on: Guarded,
    new: Mapping[str, str | None],
    *,
    force: bool,
    noun: str = "workspace",
) -> None:
    """Refuse to change labels that roles go by, unless by the owner or a platform admin, and to lock oneself out unasked."""
    old = on.labels
    changed = {key for key in {*old, *new} if (key in old) != (key in new) or old.get(key) != new.get(key)}
    if not changed:
        return
    if not owns(actor, on):
        taken = sorted(changed & label_keys_of_roles(session))
        if taken:
            raise Forbidden(
                f"the label {taken[0]} decides who may do what here; only the {noun}'s owner or a platform admin changes it",
                code="owner_needed",
            )
    if not force and authz.level(actor, _Relabelled(on, new)) < authz.level(actor, on):
        raise Conflict(
            f'with these labels you would lose rights on this {noun}; PATCH it with "force": true to do it all the same',
            code="locks_you_out",
        )


def granted(session: Session, on: Guarded) -> dict[str, str]:
    """Which custom roles reach the thing as it is now, and with what level; for the record of what a change meant."""
    found = {}
    for role in session.execute(select(Role).order_by(Role.name)).scalars():
        rule = role.rule()
        if rule.deny.means(on.name, on.labels):
            found[rule.name] = "deny"
        elif rule.allow.means(on.name, on.labels):
            found[rule.name] = rule.level_on(on.guarded_as).name.lower()
    return found


class _Relabelled:
    """The thing as the gate would see it with other labels."""

    def __init__(self, on: Guarded, labels: Mapping[str, str | None]) -> None:
        self.guarded_as, self.id, self.owner_id, self.name, self.labels = on.guarded_as, on.id, on.owner_id, on.name, labels

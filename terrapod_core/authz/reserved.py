"""What the roles that there are give meaning to, so that nobody lifts or lowers a thing by calling it something else."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.authz.matching import composed
from terrapod_core.authz.models import Role
from terrapod_core.authz.rules import EVERYONE_LABEL, Rule


def label_keys_of_roles(session: Session) -> frozenset[str]:
    """The label keys by which any role allows or denies, and `access`: on what exists, its owner or a platform admin changes these."""
    keys = {EVERYONE_LABEL[0]}
    for allowed, denied in session.execute(select(Role.allow_labels, Role.deny_labels)):
        keys |= allowed.keys() | denied.keys()
    return frozenset(map(composed, keys))


def roles_allowing(session: Session, name: str) -> list[Rule]:
    """The custom roles whose `allow-names` mean this name, by name: whatever takes it falls to their holders."""
    roles = session.execute(select(Role).order_by(Role.name)).scalars()
    return [rule for rule in (role.rule() for role in roles) if rule.allow.means(composed(name), {})]

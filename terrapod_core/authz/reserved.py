"""Names and labels that mean something: by a role, or because something that is gone had them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from terrapod_core.authz.matching import composed
from terrapod_core.authz.models import ReservedName, Role
from terrapod_core.authz.rules import EVERYONE_LABEL, Rule
from terrapod_core.db import UnitOfWork


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


def reserved_among(session: Session, kind: str, names: Collection[str]) -> Sequence[str]:
    """Those of the names that something of this kind had and nobody may take again, in order."""
    query = select(ReservedName.name).where(ReservedName.kind == kind, ReservedName.name.in_(sorted(names)))
    return session.execute(query.order_by(ReservedName.name)).scalars().all()


def reserve(uow: UnitOfWork, kind: str, name: str) -> None:
    """Let nobody but a platform admin give the name away again; it is not reserved yet."""
    uow.add(ReservedName(kind=kind, name=name, reserved_at=uow.now()))


async def release(uow: UnitOfWork, kind: str, names: Collection[str]) -> None:
    """The names are in use again, or free."""
    await uow.session.execute(delete(ReservedName).where(ReservedName.kind == kind, ReservedName.name.in_(sorted(names))))

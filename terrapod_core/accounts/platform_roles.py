"""Platform roles as accounts need them: who is an admin, and that somebody always is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.models import LOCAL, SERVICE, User
from terrapod_core.audit import record
from terrapod_core.authz import Actor, ClaimedRole, PlatformRole, RoleAssignment
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Conflict


async def grant(uow: UnitOfWork, actor: Actor, user: User, role: PlatformRole) -> None:
    """Give a role in the caller's transaction, once. One that waits for their address is theirs then: whoever calls says so."""
    held = RoleAssignment
    query = select(func.count()).where(held.user_id == user.id, held.role == role.value)
    if (await uow.session.execute(query)).scalar_one():
        return
    waiting = update(held).where(*_waiting_for(user), held.role == role.value).values(user_id=user.id).returning(held.id)
    if (await uow.session.execute(waiting.execution_options(synchronize_session=False))).first() is None:
        await _add(uow, user, role)
    record(uow, actor, "user.grant-role", "users", user.id, role=role.value)


async def _add(uow: UnitOfWork, user: User, role: PlatformRole) -> None:
    uow.add(
        RoleAssignment(
            id=ids.new("ra"),
            provider=user.provider,
            email=user.email,
            email_key=user.email_key,
            role=role.value,
            user_id=user.id,
            created_at=uow.now(),
        )
    )
    try:
        await uow.flush()
    except IntegrityError:
        raise Conflict(f"the role {role} given to {user.email} is another user's, who had that address; take it away first") from None


async def withdraw(uow: UnitOfWork, actor: Actor, user: User, role: PlatformRole, loaded: Collection[str]) -> None:
    """Take a role away in the caller's transaction; raises `Conflict` as `keep_an_admin` does, of which `loaded` is."""
    if role is PlatformRole.ADMIN:
        await keep_an_admin(uow, user, loaded)
    held = RoleAssignment
    taken = await uow.session.execute(delete(held).where(held.user_id == user.id, held.role == role.value).returning(held.id))
    if taken.first() is not None:
        record(uow, actor, "user.withdraw-role", "users", user.id, role=role.value)


async def keep_an_admin(uow: UnitOfWork, without: User, loaded: Collection[str]) -> None:
    """Refuse what would leave the installation without anybody who can sign in and do everything.

    `loaded` are the names of the auth providers that are in use: nobody signs in with another. Roles that a sign-in brought do
    not count: the other side may take them back. Nor do service accounts.
    """
    held = RoleAssignment
    can_sign_in = User.provider.in_(loaded) & or_(User.provider != LOCAL, User.password_hash.is_not(None))
    admins = (
        select(held.user_id, can_sign_in)
        .join(User, User.id == held.user_id)
        .where(held.role == PlatformRole.ADMIN.value, User.disabled_at.is_(None), User.provider != SERVICE)
        .order_by(held.user_id)
    )
    # The rows are locked, so that two admins cannot shut each other out at the same moment.
    found = {row[0]: row[1] for row in await uow.session.execute(admins.with_for_update())}
    if found.pop(without.id, None) is not None and not any(found.values()):
        raise Conflict(f"{without.username} is the last platform admin who can sign in; make another one first")


async def take_over(uow: UnitOfWork, user: User) -> None:
    """Give a new user what was assigned to their address before they were made; the caller is the one who says whose it is."""
    theirs = update(RoleAssignment).where(*_waiting_for(user)).values(user_id=user.id)
    await uow.session.execute(theirs.execution_options(synchronize_session=False))


async def move(uow: UnitOfWork, user: User) -> None:
    """Keep a user's assignments with their address, which was just changed; raises `Conflict` when the new one has some already."""
    held = RoleAssignment
    others = (held.provider == user.provider, held.email_key == user.email_key, held.user_id.is_distinct_from(user.id))
    if (await uow.session.execute(select(held.id).where(*others).limit(1))).first() is not None:
        raise Conflict(f"roles are assigned to {user.email} already; take those away first")
    mine = update(held).where(held.user_id == user.id).values(email=user.email, email_key=user.email_key)
    await uow.session.execute(mine.execution_options(synchronize_session=False))


def _waiting_for(user: User) -> Sequence[ColumnElement[bool]]:
    """Conditions on assignments: given to the user's address, and nobody's yet."""
    held = RoleAssignment
    return (held.provider == user.provider, held.email_key == user.email_key, held.user_id.is_(None))


def held_by_each(session: Session, user_ids: Sequence[str]) -> Mapping[str, frozenset[PlatformRole]]:
    """The platform roles of several users, assigned or brought by their last sign-in."""
    found: dict[str, set[PlatformRole]] = defaultdict(set)
    names = [role.value for role in PlatformRole]
    for table in (RoleAssignment, ClaimedRole):
        for user_id, role in session.execute(select(table.user_id, table.role).where(table.user_id.in_(user_ids), table.role.in_(names))):
            found[user_id or ""].add(PlatformRole(role))
    return {user_id: frozenset(roles) for user_id, roles in found.items()}


def holds(role: PlatformRole) -> ColumnElement[bool]:
    """A condition on `User`: assigned this role, or brought it along at the last sign-in."""
    assigned = select(RoleAssignment.user_id).where(RoleAssignment.role == role.value, RoleAssignment.user_id.is_not(None))
    claimed = select(ClaimedRole.user_id).where(ClaimedRole.role == role.value)
    return or_(User.id.in_(assigned), User.id.in_(claimed))

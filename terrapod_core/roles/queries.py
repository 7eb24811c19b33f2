"""Reading roles and assignments. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, String, and_, func, literal, or_, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Role, RoleAssignment
from terrapod_core.authz.emails import email_key
from terrapod_core.jsonapi import Page, Query
from terrapod_core.roles.views import BUILT_IN_ROLES, AssignmentView, People, Person, RoleView

_HOLDER: Final = func.coalesce(
    RoleAssignment.user_id, RoleAssignment.provider.concat(literal(":", String())).concat(RoleAssignment.email_key)
)
"""One value for all the rows of one person: the user, or the address that nobody has shown yet."""


def role_by_name(session: Session, name: str) -> Role | None:
    """A custom role."""
    return session.execute(select(Role).where(Role.name == name)).scalar_one_or_none()


def for_update(session: Session, name: str) -> Role | None:
    """The same, with its row locked until the transaction ends: nobody assigns it meanwhile."""
    query = select(Role).where(Role.name == name).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def held_still(session: Session, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that custom roles have; the roles stay until the transaction ends."""
    query = select(Role.name).where(Role.name.in_(sorted(names))).order_by(Role.name).with_for_update(read=True)
    return frozenset(session.execute(query).scalars())


def role_names(session: Session) -> Sequence[str]:
    """Of the custom roles, in order."""
    return session.execute(select(Role.name).order_by(Role.name)).scalars().all()


def roles_page(session: Session, query: Query) -> Page[RoleView]:
    """One page of all roles: the built-in ones, then the custom ones by name."""
    page, before = query.page, len(BUILT_IN_ROLES)
    total = before + session.execute(select(func.count()).select_from(Role)).scalar_one()
    first = list(BUILT_IN_ROLES[page.offset : page.offset + page.size])
    custom = select(Role).order_by(Role.name).offset(max(page.offset - before, 0)).limit(page.size - len(first))
    return Page([*first, *map(RoleView.of, session.execute(custom).scalars())], page.number, page.size, total)


def assignments_page(session: Session, people: People, query: Query) -> Page[AssignmentView]:
    """One page of people with their roles, by address. `filter[email]`, `filter[provider-name]` and `filter[role]` narrow it."""
    groups = select(_HOLDER.label("holder"), func.min(RoleAssignment.email_key).label("first"))
    groups = groups.where(*_conditions(session, people, query)).group_by(_HOLDER)
    counted = groups.subquery()
    total = session.execute(select(func.count()).select_from(counted)).scalar_one()
    wanted = select(counted.c.holder).order_by(counted.c.first, counted.c.holder).offset(query.page.offset).limit(query.page.size)
    holders = session.execute(wanted).scalars().all()
    return Page(_views(session, people, holders), query.page.number, query.page.size, total)


def assignment(provider: str, email: str, rows: Sequence[RoleAssignment], person: Person | None) -> AssignmentView:
    """The rows of one person as one thing; `provider` and `email` are shown for somebody who is no user yet."""
    return AssignmentView(
        provider=person.provider if person is not None else provider,
        email=person.email if person is not None else email,
        email_key=person.email_key if person is not None else email_key(email),
        roles=tuple(sorted({row.role for row in rows})),
        user_id=person.id if person is not None else None,
        created_at=min((row.created_at for row in rows), default=None),
    )


def _conditions(session: Session, people: People, query: Query) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    provider, email, role = query.filter("provider_name"), query.filter("email"), query.filter("role")
    if provider:
        conditions.append(RoleAssignment.provider == provider)
    if email:
        conditions.append(_of_address(session, people, email_key(email)))
    if role:
        conditions.append(RoleAssignment.role == role)
    return conditions


def _of_address(session: Session, people: People, key: str) -> ColumnElement[bool]:
    """The rows of whoever has the address now, and those that wait for it."""
    mine = [person.id for person in people.with_address(session, None, key)]
    return or_(RoleAssignment.user_id.in_(mine), and_(RoleAssignment.user_id.is_(None), RoleAssignment.email_key == key))


def _views(session: Session, people: People, holders: Sequence[str]) -> list[AssignmentView]:
    rows: Mapping[str, list[RoleAssignment]] = defaultdict(list)
    for holder, row in session.execute(select(_HOLDER, RoleAssignment).where(_HOLDER.in_(holders))):
        rows[holder].append(row)
    users = people.by_id(session, [row[0].user_id for row in rows.values() if row[0].user_id is not None])
    return [assignment(rows[one][0].provider, rows[one][0].email, rows[one], users.get(rows[one][0].user_id or "")) for one in holders]

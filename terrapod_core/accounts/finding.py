"""Finding users: one by whatever an operator calls them, or a page of them with what an administrator wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.accounts.models import SERVICE, APIToken, TokenOrigin, User
from terrapod_core.accounts.platform_roles import held_by_each, holds
from terrapod_core.authz import PlatformRole
from terrapod_core.authz.emails import email_key
from terrapod_core.errors import BadRequest, Conflict, NotFound
from terrapod_core.jsonapi import Page, Query


@dataclass(frozen=True)
class UserView:
    """A user as administrators see them."""

    user: User
    platform: frozenset[PlatformRole]
    bootstrap_token: bool
    """Whether the token that the settings give is theirs and in force."""
    password: str | None = field(default=None, repr=False)
    """A new one, in the answer that makes it."""

    @property
    def id(self) -> str:
        """The user's."""
        return self.user.id


def by_id_or_email(session: Session, who: str) -> User:
    """One user by id or e-mail address, a service account by its name too.

    Raises `NotFound`, or `Conflict` naming the ids when several providers know the address.
    """
    named = and_(User.provider == SERVICE, User.username == who)
    found = session.execute(select(User).where(or_(User.id == who, User.email_key == email_key(who), named))).scalars().all()
    if not found:
        raise NotFound(f"there is no user {who}")
    if len(found) > 1:
        raise Conflict(f"several users have the address {who}: {', '.join(f'{user.id} ({user.provider})' for user in found)}; give the id")
    return found[0]


def views(session: Session, users: Sequence[User]) -> list[UserView]:
    """The users with their platform roles, in two queries for all of them and one for the token of the settings."""
    roles = held_by_each(session, [user.id for user in users])
    fixed = select(APIToken.user_id).where(APIToken.origin == TokenOrigin.BOOTSTRAP.value, APIToken.revoked_at.is_(None))
    holders = set(session.execute(fixed).scalars())
    return [UserView(user, roles.get(user.id, frozenset()), user.id in holders) for user in users]


def page_of(session: Session, query: Query) -> Page[UserView]:
    """One page by name; `q` looks in names and addresses, `filter[admin]` and `filter[suspended]` are `true` or `false`."""
    found = select(User).where(*_conditions(query))
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    page = query.page
    rows = session.execute(found.order_by(User.username, User.id).offset(page.offset).limit(page.size)).scalars().all()
    return Page(views(session, rows), page.number, page.size, total)


def _conditions(query: Query) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = []
    if query.q:
        conditions.append(
            or_(User.username.icontains(query.q, autoescape=True), User.email_key.contains(email_key(query.q), autoescape=True))
        )
    for name, condition in (
        ("admin", holds(PlatformRole.ADMIN)),
        ("suspended", User.disabled_at.is_not(None)),
        ("service_account", User.provider == SERVICE),
    ):
        wanted = _flag(query, name)
        if wanted is not None:
            conditions.append(condition if wanted else ~condition)
    return conditions


def _flag(query: Query, name: str) -> bool | None:
    value = query.filter(name)
    if value in (None, ""):
        return None
    if value not in ("true", "false"):
        raise BadRequest(f"filter[{name}] is true or false", parameter=f"filter[{name}]")
    return value == "true"

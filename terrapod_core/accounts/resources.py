"""Users, tokens, sessions and auth providers on the wire, and what clients send to make a token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.accounts.models import APIToken, SignedIn, User
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.jsonapi import ABSENT, Includes, Rendering, Resource, attr, to_one


def _is_theirs(user: User, rendering: Rendering) -> bool:
    actor = rendering.actor
    return isinstance(actor, Actor) and (actor.user_id == user.id or actor.is_platform_admin or PlatformRole.AUDIT in actor.platform)


def _is_asking(user: User, rendering: Rendering) -> bool:
    return isinstance(rendering.actor, Actor) and rendering.actor.user_id == user.id


def _email(user: User, rendering: Rendering) -> Any:
    """Only the user and those who see everything learn the address."""
    return user.email if _is_theirs(user, rendering) else ABSENT


def _is_admin(user: User, rendering: Rendering) -> Any:
    """Known of the one who asks alone: their roles came with them."""
    return rendering.actor.is_platform_admin if isinstance(rendering.actor, Actor) and _is_asking(user, rendering) else ABSENT


def _permissions(user: User, rendering: Rendering) -> dict[str, bool]:
    """What the asking user may change about this one (go-tfe's `UserPermissions`)."""
    return {
        "can-create-organizations": False,
        "can-change-email": False,
        "can-change-username": False,
        "can-manage-user-tokens": _is_asking(user, rendering),
        "can-view2fa-settings": False,
        "can-manage-hcp-account": False,
    }


USER = Resource(
    type="users",
    attributes=[
        attr("username"),
        attr("email", from_=_email),
        attr("is_service_account", from_=lambda _user: False),
        attr("auth_method", from_=lambda user: user.provider),
        attr("avatar_url", from_=lambda _user: None),
        attr("v2_only", from_=lambda _user: True),
        attr("is_admin", from_=_is_admin),
        attr("is_site_admin", from_=_is_admin),
        attr("is_sso_login", from_=lambda user: not user.is_local),
        attr("unconfirmed_email", from_=lambda _user: None),
        attr("two_factor", from_=lambda _user: {"enabled": False, "verified": False}),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("authenticated_resource", "users", id_from="id", related="/api/v2/users/{id}"),
    ],
    links={"self": "/api/v2/users/{id}"},
)

AUTHENTICATION_TOKEN = Resource(
    type="authentication-tokens",
    attributes=[
        attr("created_at"),
        attr("last_used_at"),
        attr("description", writable=True),
        attr("token", from_=lambda token: getattr(token, "text", None)),  # in the answer that makes it
        attr("expired_at", writable=True, from_=lambda token: token.expires_at),
    ],
    relationships=[to_one("created_by", "users", id_from="user_id", related="/api/v2/users/{user_id}")],
    links={"self": "/api/v2/authentication-tokens/{id}"},
)


def _is_current(session: SignedIn, rendering: Rendering) -> bool:
    return isinstance(rendering.actor, Actor) and rendering.actor.session_id == session.id


SESSION = Resource(
    type="sessions",
    attributes=[
        attr("created_at"),
        attr("last_used_at"),
        attr("expires_at"),
        attr("address"),
        attr("user_agent"),
        attr("is_current", from_=_is_current),
    ],
    relationships=[to_one("user", "users", related="/api/v2/users/{user_id}")],
)

AUTH_PROVIDER = Resource(
    type="auth-providers",
    attributes=[attr("name"), attr("display_name")],
    links={"authorize": "/api/v2/auth/authorize?provider={id}"},
    id_from="name",
)


class CreateToken(msgspec.Struct, kw_only=True):
    """What makes a token; a type is not looked at, since go-tfe sends none."""

    description: str | None = None
    expired_at: datetime | None = None


def register_includes(includes: Includes, authz: Authorizer) -> None:
    """Let documents carry users and tokens beside what they are about."""

    def users(session: Session, _actor: Actor, ids: Sequence[str]) -> Sequence[User]:
        return session.execute(select(User).where(User.id.in_(ids))).scalars().all()

    def tokens(session: Session, actor: Actor, ids: Sequence[str]) -> Sequence[APIToken]:
        query = select(APIToken).where(APIToken.id.in_(ids), APIToken.revoked_at.is_(None))
        return session.execute(authz.visible(query, actor, APIToken.user_id)).scalars().all()

    includes.add(USER, users)
    includes.add(AUTHENTICATION_TOKEN, tokens)

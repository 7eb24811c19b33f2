"""Users, tokens, sessions and auth providers on the wire, and what clients send to make a token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.accounts.asking import ProviderView
from terrapod_core.accounts.models import TOKEN_GUARD, APIToken, SignedIn, User
from terrapod_core.accounts.scopes import RELATED, Narrowing
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import ABSENT, Includes, Ref, Rendering, Resource, attr, parse, to_many, to_one


def _is_theirs(user: User, rendering: Rendering) -> bool:
    actor = rendering.actor
    return isinstance(actor, Actor) and (actor.user_id == user.id or actor.reads_everything)


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
    actor = rendering.actor
    whole = isinstance(actor, Actor) and actor.scope is None
    admin = isinstance(actor, Actor) and actor.is_platform_admin
    return {
        "can-create-organizations": False,
        "can-change-email": False,
        "can-change-username": _is_asking(user, rendering) and user.is_local and whole,
        "can-manage-user-tokens": _is_asking(user, rendering) or (user.is_service_account and admin),
        "can-view2fa-settings": False,
        "can-manage-hcp-account": False,
    }


USER = Resource(
    type="users",
    attributes=[
        attr("username"),
        attr("email", from_=_email),
        attr("is_service_account"),
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


def _scoped_to(token: APIToken) -> Any:
    """The workspaces of a token that is for some; the relationship is not there for one that is for all."""
    return ABSENT if token.workspace_ids is None else token.workspace_ids


AUTHENTICATION_TOKEN = Resource(
    type="authentication-tokens",
    attributes=[
        attr("created_at"),
        attr("last_used_at"),
        attr("description", writable=True),
        attr("token", from_=lambda token: getattr(token, "text", None)),  # in the answer that makes it
        attr("expired_at", writable=True, from_=lambda token: token.expires_at),
        attr("permission", writable=True, from_=lambda token: token.ceiling),
        attr("workspaces", writable=True, from_=lambda token: token.workspace_ids),
        attr("origin"),
    ],
    relationships=[
        to_one("created_by", "users", id_from=lambda token: token.created_by_id or token.user_id),
        to_one("user", "users", related="/api/v2/users/{user_id}"),
        to_many("workspaces", "workspaces", ids_from=_scoped_to, writable=True),
    ],
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


def _metadata(provider: ProviderView) -> Any:
    """Where the administrator of the other side finds what it needs to know of this server."""
    return f"/api/v2/auth/providers/{provider.name}/metadata" if provider.has_metadata else ABSENT


AUTH_PROVIDER = Resource(
    type="auth-providers",
    attributes=[attr("name"), attr("display_name")],
    links={"authorize": "/api/v2/auth/authorize?provider={id}", "metadata": _metadata},
    id_from="name",
)


class UpdateAccount(msgspec.Struct, kw_only=True):
    """What users may change about themselves. The address is here because clients send it along."""

    username: str | None = None
    email: str | None = None


class ChangePassword(msgspec.Struct, kw_only=True):
    """TFE writes these with `_`; `-` is taken too."""

    current_password: str
    password: str
    password_confirmation: str


class CreateToken(msgspec.Struct, kw_only=True):
    """What makes a token; a type is not looked at, since go-tfe sends none."""

    description: str | None = None
    expired_at: datetime | None = None
    permission: str | None = None
    """The highest level it gives; `None` gives whatever its user has."""
    workspaces: list[str] | None = None
    """Ids of the workspaces it is for; `None` for all. The relationship of this name says the same."""


class TokenWorkspaces(msgspec.Struct, kw_only=True):
    """The relationship of the same document."""

    workspaces: list[Ref] | None = None


def parse_token(raw: bytes) -> tuple[CreateToken, Narrowing]:
    """What a client asks for. Workspaces come as an attribute or as a relationship; `Invalid` when both say something."""
    new, related = parse(raw, CreateToken), parse(raw, TokenWorkspaces).workspaces
    if related is None:
        return new, Narrowing(new.permission, new.workspaces)
    if new.workspaces is not None:
        raise Invalid("name the workspaces once: as an attribute, or as a relationship", pointer=RELATED)
    missing = [number for number, each in enumerate(related) if each.id is None]
    if missing:
        raise Invalid("a workspace is named by its id", pointer=f"{RELATED}/data/{missing[0]}/id")
    return new, Narrowing(new.permission, [each.id or "" for each in related], RELATED)


def register_includes(includes: Includes, authz: Authorizer) -> None:
    """Let documents carry users and tokens beside what they are about."""

    def users(session: Session, _actor: Actor, ids: Sequence[str]) -> Sequence[User]:
        return session.execute(select(User).where(User.id.in_(ids))).scalars().all()

    def tokens(session: Session, actor: Actor, ids: Sequence[str]) -> Sequence[APIToken]:
        query = select(APIToken).where(APIToken.id.in_(ids), APIToken.revoked_at.is_(None))
        return session.execute(authz.visible(query, actor, TOKEN_GUARD)).scalars().all()

    includes.add(USER, users)
    includes.add(AUTHENTICATION_TOKEN, tokens)

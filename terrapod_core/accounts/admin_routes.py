"""`/admin/users`: what platform administrators, and for reading auditors, do with users, service accounts and their sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
from quart import Blueprint, Response

from terrapod_core.accounts.resources import SESSION
from terrapod_core.accounts.service import AccountServices
from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import ABSENT, Resource, attr, parse
from terrapod_core.web import Web


def _of_user(name: str) -> Any:
    return lambda view: getattr(view.user, name)


ADMIN_USER = Resource(
    type="users",
    attributes=[
        attr("username", writable=True, from_=_of_user("username")),
        attr("email", writable=True, from_=_of_user("email")),
        attr("avatar_url", from_=lambda _view: None),
        attr("auth_method", from_=_of_user("provider")),
        attr("is_admin", writable=True, from_=lambda view: PlatformRole.ADMIN in view.platform),
        attr("is_auditor", from_=lambda view: PlatformRole.AUDIT in view.platform),
        attr("is_suspended", from_=lambda view: view.user.disabled_at is not None),
        attr("is_service_account", writable=True, from_=_of_user("is_service_account")),
        attr("is_sso_login", from_=lambda view: not (view.user.is_local or view.user.is_service_account)),
        attr("two_factor", from_=lambda _view: {"enabled": False, "verified": False}),
        attr("bootstrap_token_in_force", from_=lambda view: view.bootstrap_token),
        attr("created_at", from_=_of_user("created_at")),
        attr("last_seen_at", from_=_of_user("last_seen_at")),
        attr("suspended_at", from_=_of_user("disabled_at")),
        attr("password", writable=True, from_=lambda view: view.password or ABSENT),  # in the answer that makes one
    ],
    links={"self": "/api/v2/admin/users/{id}"},
)
"""A user as go-tfe's `AdminUser`, and what else an administrator asks."""


class CreateUser(msgspec.Struct, kw_only=True):
    """What makes a local user, or a service account, which needs a name and takes no password."""

    email: str | None = None
    username: str | None = None
    password: str | None = None
    is_service_account: bool = False
    is_admin: bool = False
    force: bool = False
    """Give away a name or address that a deleted service account had."""

    def __post_init__(self) -> None:
        if self.is_service_account and self.password is not None:
            raise Invalid("a service account has no password; make tokens for it", pointer="/data/attributes/password")
        if self.is_service_account and not self.username:
            raise Invalid("a service account needs a username", pointer="/data/attributes/username")
        if not self.is_service_account and not self.email:
            raise Invalid("email is required", pointer="/data/attributes/email")


class UpdateUser(msgspec.Struct, kw_only=True):
    """What may be changed; what is absent or null stays."""

    username: str | None = None
    email: str | None = None
    is_admin: bool | None = None


class ResetPassword(msgspec.Struct, kw_only=True):
    """A password to set; without one it is made and answered once."""

    password: str | None = None


def admin_users(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    """Add the routes of users."""

    @accounts.get("/admin/users")
    async def list_users() -> Response:
        return await web.listing(ADMIN_USER, await services.accounts.page(await web.actor(), web.query()))

    @accounts.post("/admin/users")
    async def create_user() -> Response:
        actor, new = await web.actor(), await web.body(CreateUser)
        roles = [PlatformRole.ADMIN] if new.is_admin else []
        if new.is_service_account:
            made = await services.accounts.create_service_account(
                actor, new.username or "", email=new.email, roles=roles, free_names=new.force
            )
        else:
            made = await services.accounts.create_user(
                actor, new.email or "", password=new.password, username=new.username, roles=roles, free_names=new.force
            )
        return await web.document(ADMIN_USER, await services.accounts.view(actor, made.id), status=201)

    @accounts.get("/admin/users/<user_id>")
    async def show_managed_user(user_id: str) -> Response:
        return await web.document(ADMIN_USER, await services.accounts.view(await web.actor(), user_id))

    @accounts.patch("/admin/users/<user_id>")
    async def update_user(user_id: str) -> Response:
        actor, new = await web.actor(), await web.body(UpdateUser)
        user = await services.accounts.update(actor, user_id, username=new.username, email=new.email, admin=new.is_admin)
        return await web.document(ADMIN_USER, await services.accounts.view(actor, user.id))

    @accounts.delete("/admin/users/<user_id>")
    async def delete_user(user_id: str) -> Response:
        await services.accounts.delete(await web.actor(), user_id)
        return web.empty()


def admin_actions(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    """Add the actions on a user. TFE writes two of them with `_`, where everything else has `-`: both are served."""
    people = services.accounts

    def acting(act: Callable[[Actor, str], Awaitable[object]]) -> Callable[[str], Awaitable[Response]]:
        async def handler(user_id: str) -> Response:
            actor = await web.actor()
            await act(actor, user_id)
            return await web.document(ADMIN_USER, await people.view(actor, user_id))

        return handler

    async def grant_admin(actor: Actor, user_id: str) -> None:
        await people.grant(actor, user_id, PlatformRole.ADMIN)

    async def revoke_admin(actor: Actor, user_id: str) -> None:
        await people.withdraw(actor, user_id, PlatformRole.ADMIN)

    for name, act in {
        "suspend": people.disable,
        "unsuspend": people.enable,
        "grant_admin": grant_admin,
        "grant-admin": grant_admin,
        "revoke_admin": revoke_admin,
        "revoke-admin": revoke_admin,
    }.items():
        accounts.post(f"/admin/users/<user_id>/actions/{name}", endpoint=f"user_{name}")(acting(act))

    @accounts.post("/admin/users/<user_id>/actions/reset-password")
    async def reset_password(user_id: str) -> Response:
        actor, raw = await web.actor(), await web.raw_json()
        chosen = parse(raw, ResetPassword).password if raw.strip() else None
        made: str | None = None
        if chosen is not None:
            await services.passwords.set(actor, user_id, chosen)
        else:
            _, made = await services.passwords.reset(actor, user_id)
        response = await web.document(ADMIN_USER, replace(await people.view(actor, user_id), password=made))
        response.headers["Cache-Control"] = "no-store"
        return response


def admin_sessions(accounts: Blueprint, services: AccountServices, web: Web) -> None:
    """Add the routes of a user's sessions."""

    @accounts.get("/admin/users/<user_id>/sessions")
    async def list_sessions_of_user(user_id: str) -> Response:
        return await web.unpaged(SESSION, await services.sessions.list_of(await web.actor(), user_id))

    @accounts.delete("/admin/users/<user_id>/sessions")
    async def end_sessions_of_user(user_id: str) -> Response:
        await services.sessions.end_all_of(await web.actor(), user_id)
        return web.empty()

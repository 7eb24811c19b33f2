"""Users and service accounts: made, changed, shut out, deleted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.finding import UserView, by_id_or_email, page_of, views
from terrapod_core.accounts.models import LOCAL, SERVICE, User
from terrapod_core.accounts.password_changes import PasswordChanges, end_sessions
from terrapod_core.accounts.platform_roles import grant, keep_an_admin, move, take_over, withdraw
from terrapod_core.accounts.reserved import claim, is_of_the_server, reserve
from terrapod_core.audit import record
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.authz.emails import checked_email, email_key
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Page, Query
from terrapod_core.plugin.events import UserDeleted

USERNAME_LENGTH: Final = 254
SERVICE_HOST: Final = "service.invalid"
"""Of the addresses of service accounts that were given none; no mail ever reaches it (RFC 2606)."""

_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,89}", re.ASCII)
_NAME: Final = "/data/attributes/username"
_EMAIL: Final = "/data/attributes/email"


class Accounts:
    """Everybody who may sign in, and service accounts. `who` is a user's id or e-mail address, or a service account's name."""

    def __init__(
        self, db: Database, authz: Authorizer, authentication: Authentication, passwords: PasswordChanges, providers: Collection[str]
    ) -> None:
        """`providers` are the names of those that people can sign in with."""
        self._db = db
        self._providers = frozenset(providers)
        self._authz = authz
        self._authentication = authentication
        self._passwords = passwords

    # -- looking

    async def read(self, actor: Actor, user_id: str) -> User:
        """A user; everybody who is signed in may know that there is one. Raises `NotFound`."""
        user = await self._db.read(lambda session: session.get(User, user_id))
        if user is None:
            raise NotFound("there is no such user")
        return user

    async def find(self, actor: Actor, who: str) -> User:
        """The user with this id or address; raises `NotFound`, or `Conflict` when several have the address."""
        self._require_admin(actor, "look up users")
        return await self._db.read(lambda session: by_id_or_email(session, who))

    async def page(self, actor: Actor, query: Query) -> Page[UserView]:
        """A page of users with what administrators want to know; see `finding.page_of` for what the query may ask."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="list users")
        return await self._db.read(lambda session: page_of(session, query))

    async def view(self, actor: Actor, who: str) -> UserView:
        """The same of one user; raises as `find` does."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="look into users")
        return await self._db.read(lambda session: views(session, [by_id_or_email(session, who)])[0])

    # -- making

    async def create_user(
        self,
        actor: Actor,
        email: str,
        *,
        password: str | None = None,
        username: str | None = None,
        roles: Sequence[PlatformRole] = (),
        free_names: bool = False,
    ) -> User:
        """Make a local user. Without a password they cannot sign in until one is set. Raises `Conflict` when the address is taken.

        `free_names` gives away a name or address that a deleted service account had; without it that is `Invalid`.
        """
        self._require_admin(actor, "create users")
        email = checked_email(email)
        name = checked_username(username or email)
        hashed = await self._passwords.hashed(password, known=(email, username or "")) if password is not None else None
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            await claim(uow, actor, [name], free=free_names, pointer=_NAME)
            await claim(uow, actor, [email], free=free_names, pointer=_EMAIL)
            try:
                user = await add_local_user(uow, email, name, hashed)
            except IntegrityError:
                raise Conflict(f"there is a user with the e-mail address or name {username or email} already") from None
            record(uow, actor, "user.create", "users", user.id, email=email)
            await self._welcome(uow, actor, user, roles)
            await uow.commit()
        return user

    async def create_service_account(
        self, actor: Actor, name: str, *, email: str | None = None, roles: Sequence[PlatformRole] = (), free_names: bool = False
    ) -> User:
        """Make an account for a program: it has tokens, which platform admins make, and never signs in.

        Its address is what roles are assigned by; without one it is made of the name. Raises as `create_user` does.
        """
        self._require_admin(actor, "create service accounts")
        if not _SERVICE_NAME.fullmatch(name):
            raise Invalid("a service account's name has 1 to 90 letters, digits, dots, dashes and underscores", pointer=_NAME)
        checked_username(name)
        address = checked_email(email) if email else f"{name}@{SERVICE_HOST}"
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            await claim(uow, actor, [name], free=free_names, pointer=_NAME)
            await claim(uow, actor, [address], free=free_names, pointer=_EMAIL)
            user_id = ids.new("user")
            user = User(id=user_id, username=name, email=address, email_key=email_key(address), provider=SERVICE, issuer=SERVICE)
            user.subject, user.email_verified, user.created_at = user_id, True, uow.now()
            uow.add(user)
            try:
                await uow.flush()
            except IntegrityError:
                raise Conflict(f"there is a user with the name {name} or the address {address} already") from None
            record(uow, actor, "user.create", "users", user.id, provider=SERVICE, name=name, email=address)
            await self._welcome(uow, actor, user, roles)
            await uow.commit()
        return user

    # -- changing

    async def update(
        self, actor: Actor, who: str, *, username: str | None = None, email: str | None = None, admin: bool | None = None
    ) -> User:
        """Change a user's name, a local user's address, whether they are platform admin; `None` leaves it.

        A service account keeps its name and address, which others trust.
        """
        self._require_admin(actor, "change users")
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            user = await self._taken(uow, who)
            if user.is_service_account and (username or email):
                raise Invalid("a service account keeps its name and address, which roles and clouds trust; make another", pointer=_NAME)
            if email is not None and not user.is_local:
                raise Invalid(f"the address is whatever {user.provider} says at the next sign-in", pointer=_EMAIL)
            await self._rename(uow, actor, user, username, email)
            if admin:
                _check_named(user, who)
                await grant(uow, actor, user, PlatformRole.ADMIN)
            elif admin is not None:
                await withdraw(uow, actor, user, PlatformRole.ADMIN, self._providers)
            await uow.commit()
        self._authentication.forget()
        return user

    async def rename_self(self, actor: Actor, username: str) -> User:
        """Change one's own name, which only local users may. A name that looks like an address must be one's own."""
        self._authz.require_unscoped(actor, to="change the account")
        if actor.user_id is None:
            raise Forbidden("only a user has an account to change", code="no_user")
        async with self._db.uow() as uow:
            user = await self._taken(uow, actor.user_id)
            if not user.is_local:
                raise Forbidden(f"the name comes from {user.provider}; change it there", code="name_from_provider")
            if "@" in username and email_key(username) != user.email_key:
                raise Invalid("a name with @ in it must be your own e-mail address", pointer=_NAME)
            await self._rename(uow, actor, user, username, None)
            await uow.commit()
        self._authentication.forget()
        return user

    async def disable(self, actor: Actor, who: str) -> User:
        """Shut a user out: sessions end, tokens are refused. Raises `Conflict` for the last platform admin."""
        self._require_admin(actor, "disable users")
        async with self._db.uow() as uow:
            user = await self._taken(uow, who)
            if user.disabled_at is None:
                await keep_an_admin(uow, user, self._providers)
                user.disabled_at = uow.now()
                record(uow, actor, "user.disable", "users", user.id)
                await uow.flush()  # the user before what hangs on them, as everybody locks them
            await end_sessions(uow, user.id)
            await uow.commit()
        self._authentication.forget()
        return user

    async def enable(self, actor: Actor, who: str) -> User:
        """Let a disabled user in again; their tokens work as before."""
        self._require_admin(actor, "enable users")
        async with self._db.uow() as uow:
            user = await self._taken(uow, who)
            if user.disabled_at is not None:
                user.disabled_at = None
                record(uow, actor, "user.enable", "users", user.id)
            await uow.commit()
        self._authentication.forget()
        return user

    async def delete(self, actor: Actor, who: str) -> None:
        """Delete a user with their tokens, sessions and roles. What they owned belongs to nobody then; `UserDeleted` tells.

        A service account's name and address stay reserved. Raises `Conflict` for the last platform admin.
        """
        self._require_admin(actor, "delete users")
        async with self._db.uow() as uow:
            user = await self._taken(uow, who)
            await keep_an_admin(uow, user, self._providers)
            if user.is_service_account:
                await reserve(uow, user)
            record(uow, actor, "user.delete", "users", user.id, provider=user.provider, name=user.username, email=user.email)
            uow.emit(UserDeleted(user_id=user.id))
            await uow.flush()
            # Tokens, sessions, codes and assignments go with the row.
            await uow.session.execute(delete(User).where(User.id == user.id))
            await uow.commit()
        self._authentication.forget()

    async def grant(self, actor: Actor, who: str, role: PlatformRole) -> None:
        """Give a platform role; one that is held already stays held. Raises `Conflict` for an address that nobody verified."""
        self._require_admin(actor, "give platform roles")
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ASSIGNMENTS)
            user = await self._taken(uow, who)
            _check_named(user, who)
            await grant(uow, actor, user, role)
            await uow.commit()
        self._authentication.forget()

    async def withdraw(self, actor: Actor, who: str, role: PlatformRole) -> None:
        """Take a platform role away. Raises `Conflict` when nobody would be admin then."""
        self._require_admin(actor, "take platform roles")
        async with self._db.uow() as uow:
            await withdraw(uow, actor, await self._taken(uow, who), role, self._providers)
            await uow.commit()
        self._authentication.forget()

    # -- what these share

    async def _taken(self, uow: UnitOfWork, who: str) -> User:
        return await uow.run(lambda session: by_id_or_email(session, who))

    async def _welcome(self, uow: UnitOfWork, actor: Actor, user: User, roles: Sequence[PlatformRole]) -> None:
        await take_over(uow, user)
        for role in roles:
            await grant(uow, actor, user, role)

    async def _rename(self, uow: UnitOfWork, actor: Actor, user: User, username: str | None, email: str | None) -> None:
        before = (user.username, user.email)
        if username is not None:
            await claim(uow, actor, [username], free=False, pointer=_NAME)
            user.username = checked_username(username)
        if email is not None:
            await claim(uow, actor, [email], free=False, pointer=_EMAIL)
            user.email = checked_email(email)
            user.email_key = email_key(user.email)
        if (user.username, user.email) == before:
            return
        try:
            await uow.flush()
        except IntegrityError:
            # What was not asked for cannot be what is taken.
            asked = {"the name": username, "the address": email}
            taken = " or ".join(f"{what} {value}" for what, value in asked.items() if value is not None)
            raise Conflict(f"there is a user with {taken} already") from None
        if user.email != before[1]:
            await move(uow, user)
        record(uow, actor, "user.update", "users", user.id, name=user.username, email=user.email, was=list(before))

    def _require_admin(self, actor: Actor, to: str) -> None:
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=to)


def _check_named(user: User, who: str) -> None:
    """Refuse to give roles to whoever merely says that an address is theirs."""
    if who != user.id and not user.email_verified:
        raise Conflict(f"nobody verified that {who} is the address of {user.id} ({user.provider}); give that id if you mean this user")


async def add_local_user(uow: UnitOfWork, email: str, username: str | None, password_hash: str | None) -> User:
    """Insert a local user; raises `IntegrityError` when address or name is taken."""
    user_id = ids.new("user")
    user = User(
        id=user_id,
        username=checked_username(username or email),
        email=email,
        email_key=email_key(email),
        email_verified=True,
        provider=LOCAL,
        issuer=LOCAL,
        subject=user_id,
        password_hash=password_hash,
        created_at=uow.now(),
    )
    uow.add(user)
    await uow.flush()
    return user


def checked_username(name: str) -> str:
    """The name without blanks around it; `Invalid` when it is empty, too long, cannot be shown, or is the server's own."""
    name = name.strip()
    if is_of_the_server(name):
        raise Invalid(f"{name} is what the server calls itself in the audit log; choose another name", pointer=_NAME)
    if not 0 < len(name) <= USERNAME_LENGTH or not name.isprintable():
        raise Invalid(f"a user name is printable and has 1 to {USERNAME_LENGTH} characters", pointer=_NAME)
    return name

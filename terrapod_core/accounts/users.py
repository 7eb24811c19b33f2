"""Users and their platform roles: made, changed, shut out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import LOCAL, SignedIn, User
from terrapod_core.accounts.texts import checked_email, email_key
from terrapod_core.audit import record
from terrapod_core.authz import Actor, Authorizer, PlatformRole, PlatformRoleAssignment
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, NotFound, TooManyRequests, Unavailable
from terrapod_core.plugin.auth import AuthProvider, LoginRefused, PasswordRefused, SupportsPasswords

USERNAME_LENGTH: Final = 254
_POINTER: Final = "/data/attributes/password"


class Accounts:
    """Everybody who may sign in. `who` is a user's id or e-mail address."""

    def __init__(self, db: Database, authz: Authorizer, authentication: Authentication, providers: Mapping[str, AuthProvider]) -> None:
        self._db = db
        self._authz = authz
        self._authentication = authentication
        self._providers = providers

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

    async def list(self, actor: Actor) -> Sequence[User]:
        """All users by name."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="list users")
        return await self._db.read(lambda session: session.execute(select(User).order_by(User.username)).scalars().all())

    async def create_user(
        self,
        actor: Actor,
        email: str,
        *,
        password: str | None = None,
        username: str | None = None,
        roles: Sequence[PlatformRole] = (),
    ) -> User:
        """Make a local user. Without a password they cannot sign in until one is set. Raises `Conflict` when the address is taken."""
        self._require_admin(actor, "create users")
        email = checked_email(email)
        hashed = await self.hash_password(password, known=(email, username or "")) if password is not None else None
        async with self._db.uow() as uow:
            try:
                user = await add_local_user(uow, email, username, hashed)
            except IntegrityError:
                raise Conflict(f"there is a user with the e-mail address or name {username or email} already") from None
            record(uow, actor, "user.create", "users", user.id, email=email)
            for role in roles:
                await grant(uow, actor, user, role)
            await uow.commit()
        return user

    async def set_password(self, actor: Actor, who: str, password: str) -> None:
        """Replace a local user's password and end their sessions."""
        self._require_admin(actor, "set passwords")
        user = await self._db.read(lambda session: by_id_or_email(session, who))
        if not user.is_local:
            raise Conflict(f"{user.username} signs in through {user.provider}; there is no password here to set")
        hashed = await self.hash_password(password, known=(user.email, user.username))
        async with self._db.uow() as uow:
            row = await uow.session.get_one(User, user.id)
            row.password_hash = hashed
            await uow.session.execute(delete(SignedIn).where(SignedIn.user_id == user.id))
            record(uow, actor, "user.set-password", "users", user.id)
            await uow.commit()
        self._authentication.forget()

    async def disable(self, actor: Actor, who: str) -> User:
        """Shut a user out: sessions end, tokens are refused. Raises `Conflict` for the last platform admin."""
        self._require_admin(actor, "disable users")
        async with self._db.uow() as uow:
            user = await uow.run(lambda session: by_id_or_email(session, who))
            if user.disabled_at is None:
                await self._keep_an_admin(uow, user)
                user.disabled_at = uow.now()
                record(uow, actor, "user.disable", "users", user.id)
            await uow.session.execute(delete(SignedIn).where(SignedIn.user_id == user.id))
            await uow.commit()
        self._authentication.forget()
        return user

    async def enable(self, actor: Actor, who: str) -> User:
        """Let a disabled user in again; their tokens work as before."""
        self._require_admin(actor, "enable users")
        async with self._db.uow() as uow:
            user = await uow.run(lambda session: by_id_or_email(session, who))
            if user.disabled_at is not None:
                user.disabled_at = None
                record(uow, actor, "user.enable", "users", user.id)
            await uow.commit()
        self._authentication.forget()
        return user

    async def grant(self, actor: Actor, who: str, role: PlatformRole) -> None:
        """Give a platform role; one that is held already stays held."""
        self._require_admin(actor, "give platform roles")
        async with self._db.uow() as uow:
            await grant(uow, actor, await uow.run(lambda session: by_id_or_email(session, who)), role)
            await uow.commit()
        self._authentication.forget()

    async def withdraw(self, actor: Actor, who: str, role: PlatformRole) -> None:
        """Take a platform role away. Raises `Conflict` when nobody would be admin then."""
        self._require_admin(actor, "take platform roles")
        async with self._db.uow() as uow:
            user = await uow.run(lambda session: by_id_or_email(session, who))
            if role is PlatformRole.ADMIN:
                await self._keep_an_admin(uow, user)
            held = PlatformRoleAssignment
            taken = await uow.session.execute(delete(held).where(held.user_id == user.id, held.role == role.value).returning(held.id))
            if taken.first() is not None:
                record(uow, actor, "user.withdraw-role", "users", user.id, role=role.value)
            await uow.commit()
        self._authentication.forget()

    async def hash_password(self, password: str, *, known: Sequence[str]) -> str:
        """What the password plugin makes of it; `Invalid` says why a password is refused."""
        provider: object = self._providers.get(LOCAL)
        if not isinstance(provider, SupportsPasswords):
            raise Conflict("no plugin for passwords is loaded; install terrapod-auth-password")
        try:
            return await provider.hash_password(password, known=[word for word in known if word])
        except PasswordRefused as refusal:
            raise Invalid(refusal.reason, pointer=_POINTER) from None
        except LoginRefused as refusal:
            raise TooManyRequests(refusal.reason, retry_after=refusal.retry_after or 1) from None

    async def _keep_an_admin(self, uow: UnitOfWork, without: User) -> None:
        """Refuse what would leave the installation without anybody who may do everything."""
        held = PlatformRoleAssignment
        admins = (
            select(held.user_id)
            .join(User, User.id == held.user_id)
            .where(held.role == PlatformRole.ADMIN.value, User.disabled_at.is_(None))
        )
        # The rows are locked, so that two admins cannot shut each other out at the same moment.
        found = set((await uow.session.execute(admins.with_for_update())).scalars())
        if found == {without.id}:
            raise Conflict(f"{without.username} is the last platform admin; make another one first")

    def _require_admin(self, actor: Actor, to: str) -> None:
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=to)


def by_id_or_email(session: Session, who: str) -> User:
    """One user; raises `NotFound`, or `Conflict` naming the ids when several providers know the address."""
    found = session.execute(select(User).where(or_(User.id == who, User.email_key == email_key(who)))).scalars().all()
    if not found:
        raise NotFound(f"there is no user {who}")
    if len(found) > 1:
        raise Conflict(f"several users have the address {who}: {', '.join(f'{user.id} ({user.provider})' for user in found)}; give the id")
    return found[0]


async def add_local_user(uow: UnitOfWork, email: str, username: str | None, password_hash: str | None) -> User:
    """Insert a local user; raises `IntegrityError` when address or name is taken."""
    user_id = ids.new("user")
    user = User(
        id=user_id,
        username=checked_username(username or email),
        email=email,
        email_key=email_key(email),
        provider=LOCAL,
        issuer=LOCAL,
        subject=user_id,
        password_hash=password_hash,
        created_at=uow.now(),
    )
    uow.add(user)
    await uow.flush()
    return user


async def grant(uow: UnitOfWork, actor: Actor, user: User, role: PlatformRole) -> None:
    """Give a role in the caller's transaction, once."""
    held = PlatformRoleAssignment
    query = select(func.count()).where(held.user_id == user.id, held.role == role.value)
    if (await uow.session.execute(query)).scalar_one():
        return
    uow.add(held(id=ids.new("role"), user_id=user.id, role=role.value, created_at=uow.now()))
    try:
        await uow.flush()
    except IntegrityError:
        raise Unavailable("somebody else changes this user's roles at the moment; try again", retry_after=1) from None
    record(uow, actor, "user.grant-role", "users", user.id, role=role.value)


def checked_username(name: str) -> str:
    """The name without blanks around it; `Invalid` when it is empty, too long, or cannot be shown."""
    name = name.strip()
    if not 0 < len(name) <= USERNAME_LENGTH or not name.isprintable():
        raise Invalid(f"a user name is printable and has 1 to {USERNAME_LENGTH} characters", pointer="/data/attributes/username")
    return name

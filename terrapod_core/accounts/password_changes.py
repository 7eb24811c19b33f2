"""New passwords of local users: set or made by a platform admin, or changed by the user, who shows the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.finding import by_id_or_email
from terrapod_core.accounts.models import LOCAL, AuthorizationCode, SignedIn, User
from terrapod_core.accounts.texts import secret
from terrapod_core.accounts.throttle import Throttle
from terrapod_core.audit import record, refused
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from terrapod_core.plugin.auth import AuthProvider, Callback, LoginRefused, PasswordRefused, SupportsPasswords

_PASSWORD: Final = "/data/attributes/password"  # noqa: S105 - where it is in a document
_CONFIRMATION: Final = "/data/attributes/password_confirmation"
_CURRENT: Final = "/data/attributes/current_password"


class PasswordChanges:
    """Replaces passwords. Whoever was signed in with the old one is not any more."""

    def __init__(self, db: Database, authz: Authorizer, authentication: Authentication, providers: Mapping[str, AuthProvider]) -> None:
        self._db = db
        self._authz = authz
        self._authentication = authentication
        self._providers = providers
        sentence = "too many attempts to change this password; wait before you try again"
        self._attempts = Throttle(db.clock, limit=10, window=timedelta(minutes=5), sentence=sentence)

    async def hashed(self, password: str, *, known: Sequence[str], pointer: str = _PASSWORD) -> str:
        """What the password plugin makes of it; `Invalid` says why a password is refused."""
        try:
            return await self._passwords().hash_password(password, known=[word for word in known if word])
        except PasswordRefused as refusal:
            raise Invalid(refusal.reason, pointer=pointer) from None
        except LoginRefused as refusal:
            raise TooManyRequests(refusal.reason, retry_after=refusal.retry_after or 1) from None

    async def set(self, actor: Actor, who: str, password: str) -> User:
        """Replace a local user's password and end their sessions. Raises `Conflict` for a user who has none here."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="set passwords")
        user = await self._db.read(lambda session: _local(session, who))
        hashed = await self.hashed(password, known=(user.email, user.username))
        await self._replace(actor, user.id, hashed, "user.set-password")
        return user

    async def reset(self, actor: Actor, who: str) -> tuple[User, str]:
        """Replace a local user's password by a random one, which is kept nowhere else, and end their sessions."""
        password = secret()
        return await self.set(actor, who, password), password

    async def change(self, actor: Actor, current: str, new: str, confirmation: str) -> User:
        """Replace the actor's own password and end all their sessions but the one that is shown.

        Raises `Invalid` when the current one is wrong, the new one too weak, or the confirmation something else,
        `TooManyRequests` after ten attempts, `Conflict` when nobody has a password here.
        """
        self._authz.require_unscoped(actor, to="change a password")
        if actor.user_id is None:
            raise Forbidden("only a user has a password to change", code="no_user")
        own = actor.user_id
        user = await self._db.read(lambda session: _local(session, own))
        self._passwords()
        if new != confirmation:
            raise Invalid("password_confirmation is not the same as password", pointer=_CONFIRMATION)
        self._attempts.charge(user.id)
        await self._check(actor, user, current)
        self._attempts.clear(user.id)
        hashed = await self.hashed(new, known=(user.email, user.username))
        await self._replace(actor, user.id, hashed, "user.change-password", keep=actor.session_id)
        return user

    def _passwords(self) -> SupportsPasswords:
        provider: object = self._providers.get(LOCAL)
        if not isinstance(provider, SupportsPasswords):
            raise Conflict("no plugin for passwords is loaded; install terrapod-auth-password")
        return provider

    async def _check(self, actor: Actor, user: User, current: str) -> None:
        """Let the provider judge the password, as it does at a sign-in."""
        try:
            identity = await self._providers[LOCAL].finish(Callback({"email": user.email, "password": current}, state=""))
        except LoginRefused as refusal:
            if refusal.retry_after is not None:
                self._attempts.refund(user.id)
                raise TooManyRequests(refusal.reason, retry_after=refusal.retry_after) from None
            await refused(self._db, actor, "user.change-password", "users", user.id)
            raise Invalid("current_password is wrong", pointer=_CURRENT) from None
        if identity.subject != user.id:
            raise Invalid("current_password is wrong", pointer=_CURRENT)

    async def _replace(self, actor: Actor, user_id: str, hashed: str, action: str, *, keep: str | None = None) -> None:
        async with self._db.uow() as uow:
            row = await uow.session.get(User, user_id, with_for_update=True)
            if row is None:
                raise NotFound("there is no such user")
            row.password_hash = hashed
            await end_sessions(uow, user_id, keep=keep)
            record(uow, actor, action, "users", user_id)
            await uow.commit()
        self._authentication.forget()


async def end_sessions(uow: UnitOfWork, user_id: str, *, keep: str | None = None) -> int:
    """End a user's sessions but the one to keep, and the sign-ins of terraform that are under way; says how many sessions ended."""
    mine = delete(SignedIn).where(SignedIn.user_id == user_id, SignedIn.id != (keep or ""))
    ended = (await uow.session.execute(mine.returning(SignedIn.id))).all()
    await uow.session.execute(delete(AuthorizationCode).where(AuthorizationCode.user_id == user_id, AuthorizationCode.used_at.is_(None)))
    return len(ended)


def _local(session: Session, who: str) -> User:
    user = by_id_or_email(session, who)
    if not user.is_local:
        raise Conflict(
            f"{user.username} {'is a service account' if user.is_service_account else f'signs in through {user.provider}'}; "
            "there is no password here to set"
        )
    return user

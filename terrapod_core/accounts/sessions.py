"""Sessions: begun by a sign-in, ended by a sign-out, by idleness, or by their age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import AuthorizationCode, LoginState, SignedIn, UsedOnce, User
from terrapod_core.accounts.password_changes import end_sessions
from terrapod_core.accounts.texts import Pepper, session_text
from terrapod_core.audit import record
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Sessions as SessionSettings

USER_AGENT_LENGTH: Final = 255


class Sessions:
    """The sessions of users."""

    def __init__(
        self, db: Database, authz: Authorizer, keyring: Keyring, authentication: Authentication, settings: SessionSettings
    ) -> None:
        self._db = db
        self._authz = authz
        self._pepper = Pepper(keyring)
        self._authentication = authentication
        self.idle = timedelta(hours=settings.idle_hours)
        self.longest = timedelta(days=settings.max_days)

    def open(self, uow: UnitOfWork, user: User, *, address: str | None, user_agent: str | None) -> tuple[str, SignedIn]:
        """Begin a session in the caller's transaction; gives its bearer text, which is kept nowhere, and its row."""
        text, now = session_text(), uow.now()
        row = SignedIn(
            id=ids.new("session"),
            user_id=user.id,
            hash=(digest := self._pepper.digest(text)),
            hash_key=digest.key_id,
            created_at=now,
            last_used_at=now,
            expires_at=now + self.longest,
            address=address,
            user_agent=_shown(user_agent),
        )
        uow.add(row)
        return text, row

    async def list(self, actor: Actor) -> Sequence[SignedIn]:
        """The actor's own live sessions, the latest first."""
        self._authz.require_unscoped(actor, to="see its user's sessions")
        return await self._live(actor.user_id)

    async def list_of(self, actor: Actor, user_id: str) -> Sequence[SignedIn]:
        """A user's live sessions, for platform admins and auditors. Raises `NotFound` for a user who is not there."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="list the sessions of others")
        if await self._db.read(lambda session: session.get(User, user_id)) is None:
            raise NotFound("there is no such user")
        return await self._live(user_id)

    async def end(self, actor: Actor) -> None:
        """Sign out: end the session that the actor shows. Raises `Conflict` when it shows an API token."""
        if actor.session_id is None:
            raise Conflict("you show an API token, not a session; DELETE /api/v2/authentication-tokens/{id} revokes one")
        async with self._db.uow() as uow:
            await uow.session.execute(delete(SignedIn).where(SignedIn.id == actor.session_id))
            record(uow, actor, "session.end", "sessions", actor.session_id)
            await uow.commit()
        self._authentication.forget()

    async def revoke(self, actor: Actor, session_id: str) -> None:
        """End one session: one's own, or as a platform admin anybody's. Raises `NotFound` for any other."""
        self._authz.require_unscoped(actor, to="end sessions")
        async with self._db.uow() as uow:
            mine = delete(SignedIn).where(SignedIn.id == session_id)
            if not actor.is_platform_admin:
                mine = mine.where(SignedIn.user_id == actor.user_id)
            owner = (await uow.session.execute(mine.returning(SignedIn.user_id))).scalar_one_or_none()
            if owner is None:
                raise NotFound("there is no such session, or it is not yours")
            record(uow, actor, "session.revoke", "sessions", session_id, user=owner)
            await uow.commit()
        self._authentication.forget()

    async def end_others(self, actor: Actor) -> None:
        """End all of the actor's sessions but the one that is shown; with an API token, all of them."""
        self._authz.require_unscoped(actor, to="end sessions")
        if actor.user_id is None:
            raise NotFound("only users have sessions")
        await self._end_all(actor, actor.user_id, keep=actor.session_id)

    async def end_all_of(self, actor: Actor, user_id: str) -> None:
        """End all sessions of a user, as a platform admin. Raises `NotFound` for a user who is not there."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="end the sessions of others")
        await self._end_all(actor, user_id)

    async def _end_all(self, actor: Actor, user_id: str, *, keep: str | None = None) -> None:
        async with self._db.uow() as uow:
            if await uow.session.get(User, user_id) is None:
                raise NotFound("there is no such user")
            ended = await end_sessions(uow, user_id, keep=keep)
            record(uow, actor, "session.revoke-all", "users", user_id, ended=ended)
            await uow.commit()
        self._authentication.forget()

    async def _live(self, user_id: str | None) -> Sequence[SignedIn]:
        def look(session: Session) -> Sequence[SignedIn]:
            query = select(SignedIn).where(SignedIn.user_id == user_id).order_by(SignedIn.last_used_at.desc(), SignedIn.id)
            return session.execute(query).scalars().all()

        now = self._db.clock.now()
        return [row for row in await self._db.read(look) if row.ends_at(self.idle) > now]

    async def discard(self, uow: UnitOfWork, text: str) -> None:
        """End the session with this bearer text, if there is one: a sign-in takes the place of the browser's earlier one."""
        await uow.flush()  # the user before what hangs on them, as everybody locks them
        await uow.session.execute(delete(SignedIn).where(SignedIn.hash.in_(self._pepper.candidates(text))))

    async def sweep(self) -> None:
        """Delete what can never be used again; for the clock."""
        now = self._db.clock.now()
        async with self._db.uow() as uow:
            ended = or_(SignedIn.expires_at <= now, SignedIn.last_used_at <= now - self.idle)
            await uow.session.execute(delete(SignedIn).where(ended))
            await uow.session.execute(delete(LoginState).where(LoginState.expires_at <= now))
            await uow.session.execute(delete(UsedOnce).where(UsedOnce.until <= now))
            # Used codes stay for a day, so that a second use is recognised.
            await uow.session.execute(delete(AuthorizationCode).where(AuthorizationCode.expires_at <= now - timedelta(days=1)))
            await uow.commit()


def _shown(user_agent: str | None) -> str | None:
    """What a browser calls itself, cut to what can be stored and shown."""
    text = "".join(each for each in user_agent or "" if each.isprintable())[:USER_AGENT_LENGTH]
    return text or None

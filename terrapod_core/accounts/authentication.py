"""From the text of a token or a session to the one who shows it: one query, remembered for a few seconds."""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from terrapod_core.accounts.models import APIToken, SignedIn, User
from terrapod_core.accounts.scopes import scope_of
from terrapod_core.accounts.texts import LONGEST, SESSION_PREFIX, KeyedDigest, Pepper
from terrapod_core.authz import Actor, ActorKind, Scope, held_by
from terrapod_core.coordination import ACCESS
from terrapod_core.db import Database
from terrapod_core.errors import Unavailable
from terrapod_core.plugin import Wakeup
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Auth, Sessions

REMEMBERED: Final = timedelta(seconds=5)
"""How long a decision is kept: a disabled user and a revoked token are refused everywhere after this."""

MOST_REMEMBERED: Final = 4096
USE_NOTED: Final = timedelta(minutes=1)
"""`last-used-at` is written at most so often."""

log = structlog.get_logger("terrapod.accounts")


@dataclass(frozen=True)
class _Use:
    """Something that was used, whose row shall say so."""

    table: type[APIToken] | type[SignedIn]
    id: str
    user_id: str
    hash: KeyedDigest
    """The digest under the newest key: noting a use also moves the row on to that key."""


@dataclass(frozen=True)
class _Known:
    """Who it is, and from when until when that may be answered without asking again."""

    actor: Actor
    since: datetime
    until: datetime
    use: _Use | None = None
    """What is due to be noted."""


class Authentication:
    """Asks who a bearer text belongs to."""

    def __init__(self, db: Database, keyring: Keyring, sessions: Sessions, auth: Auth) -> None:
        self._db = db
        self._pepper = Pepper(keyring)
        self._idle = timedelta(hours=sessions.idle_hours)
        self._claims_count = timedelta(hours=auth.max_role_age_hours)
        self._tokens_rest = timedelta(days=auth.unseen_token_days)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._uses: dict[str, _Use] = {}
        self._writing: asyncio.Task[None] | None = None
        self._changes = 0
        db.wakeups.on(ACCESS, lambda _key: self._forget())

    async def authenticate(self, text: str) -> Actor | None:
        """The user whose token or session this is; `None` for any other text, and for what expired, was revoked or is disabled."""
        if not text or len(text) > LONGEST:
            return None
        digests = self._pepper.candidates(text)
        now = self._db.clock.now()
        known = self._known.get(digests[0])
        if known is not None and known.since <= now < known.until:
            return known.actor
        look = self._session if text.startswith(SESSION_PREFIX) else self._token
        changes = self._changes
        found = await self._db.read(lambda session: look(session, digests, now))
        if found is None:
            self._known.pop(digests[0], None)
            return None
        # What changed while the query ran may not be remembered as it was.
        if changes == self._changes:
            self._remember(digests[0], found)
        if found.use is not None:
            self._note(found.use)
        return found.actor

    def forget(self) -> None:
        """Remember nothing, here and in other processes: called after every change of a user, a token, a session or a role."""
        self._forget()
        self._db.wakeups.tell(Wakeup(ACCESS))

    def _forget(self) -> None:
        self._changes += 1
        self._known.clear()

    async def settle(self) -> None:
        """Wait until the uses seen so far are noted; at shutdown, and in tests."""
        while self._writing is not None and not self._writing.done():
            await self._writing

    def _remember(self, digest: str, found: _Known) -> None:
        self._known[digest] = found
        self._known.move_to_end(digest)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def _token(self, session: Session, digests: Sequence[KeyedDigest], now: datetime) -> _Known | None:
        query = select(APIToken, User).join(User, User.id == APIToken.user_id)
        rows = session.execute(query.where(APIToken.hash.in_(digests))).all()
        if not _same(rows[0][0].hash if rows else None, digests):
            return None
        token, user = rows[0][0], rows[0][1]
        expired = token.expires_at is not None and token.expires_at <= now
        if token.revoked_at is not None or user.disabled_at is not None or expired or self._rests(user, now):
            return None
        due = token.last_used_at is None or token.last_used_at <= now - USE_NOTED or token.hash != digests[0]
        until = min(token.expires_at, now + REMEMBERED) if token.expires_at else now + REMEMBERED
        actor = self.actor_of(session, user, now, token_id=token.id, scope=scope_of(token))
        return _Known(actor, now, until, _Use(APIToken, token.id, user.id, digests[0]) if due else None)

    def _session(self, session: Session, digests: Sequence[KeyedDigest], now: datetime) -> _Known | None:
        query = select(SignedIn, User).join(User, User.id == SignedIn.user_id)
        rows = session.execute(query.where(SignedIn.hash.in_(digests))).all()
        if not _same(rows[0][0].hash if rows else None, digests):
            return None
        signed_in, user = rows[0][0], rows[0][1]
        ends = signed_in.ends_at(self._idle)
        if user.disabled_at is not None or user.is_service_account or ends <= now:
            return None
        due = signed_in.last_used_at <= now - USE_NOTED or signed_in.hash != digests[0]
        actor = self.actor_of(session, user, now, session_id=signed_in.id)
        return _Known(actor, now, min(ends, now + REMEMBERED), _Use(SignedIn, signed_in.id, user.id, digests[0]) if due else None)

    def actor_of(
        self,
        session: Session,
        user: User,
        now: datetime,
        *,
        token_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | None = None,
    ) -> Actor:
        """The user as one who asks, with the roles it holds now; `scope` is what the token that was shown is narrowed to.

        Roles that a sign-in brought count until they are too old: who left a group elsewhere is not asked for it here.
        """
        claimed = user.roles_claimed_at
        held = held_by(session, user.id, claims_count=claimed is not None and claimed > now - self._claims_count)
        return Actor(ActorKind.USER, user.id, user.username, user.email, held.platform, token_id, session_id, held.roles, scope)

    def _rests(self, user: User, now: datetime) -> bool:
        """Whether tokens do not count for now: whoever vouches for the user has not done so for long."""
        if user.is_local or user.is_service_account:
            return False
        return user.roles_claimed_at is None or user.roles_claimed_at <= now - self._tokens_rest

    # -- uses are noted beside the request: nobody waits for it

    def _note(self, use: _Use) -> None:
        self._uses[use.id] = use
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="accounts:uses")

    async def _write(self) -> None:
        while self._uses:
            uses, self._uses = list(self._uses.values()), {}
            now = self._db.clock.now()
            try:
                async with self._db.uow() as uow:
                    # The users before what hangs on them, as everybody locks them.
                    users = {use.user_id for use in uses}
                    await uow.session.execute(update(User).where(User.id.in_(users)).values(last_seen_at=now))
                    for use in uses:
                        await uow.session.execute(_noted(use, now))
                    await uow.commit()
            except Unavailable:
                return  # seen again at the next use
            except Exception:
                log.exception("uses of tokens could not be noted")
                return


def _noted(use: _Use, now: datetime) -> Any:
    table = use.table
    stale = or_(table.last_used_at.is_(None), table.last_used_at <= now - USE_NOTED, table.hash != use.hash)
    noted = {"last_used_at": now, "hash": use.hash, "hash_key": use.hash.key_id}
    return update(table).where(table.id == use.id, stale).values(noted).execution_options(synchronize_session=False)


def _same(stored: str | None, digests: Sequence[str]) -> bool:
    """Whether one of the digests is the stored one. Compared in any case: an unknown text takes no less time than a known one."""
    matches = [hmac.compare_digest(stored or digests[0][::-1], digest) for digest in digests]
    return stored is not None and any(matches)

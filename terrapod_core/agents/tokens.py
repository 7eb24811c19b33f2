"""Join tokens of pools: made, listed, used, revoked. The text exists once, in the answer that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.texts import LONGEST, Pepper, token_text
from terrapod_core.accounts.tokens import checked_description
from terrapod_core.agents import queries
from terrapod_core.agents.documents import MOST_USES, CreatePoolToken
from terrapod_core.agents.models import PoolToken
from terrapod_core.agents.service import Pools
from terrapod_core.audit import record
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Problems, Unauthorized
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Tokens as TokenSettings

LIFE: Final = timedelta(hours=1)
"""Of a token made without one."""

LABEL: Final = "pool-token-pepper"
"""Not that of users' tokens: neither kind is ever found in the other's table."""


class PoolTokens:
    """go-tfe's `AgentTokens`. Who reads a pool sees that they are there; platform admins make and revoke them."""

    def __init__(self, db: Database, authz: Authorizer, keyring: Keyring, pools: Pools, settings: TokenSettings) -> None:
        self._db = db
        self._authz = authz
        self._pepper = Pepper(keyring, LABEL)
        self._pools = pools
        self._settings = settings

    async def create(self, actor: Actor, pool_id: str, new: CreatePoolToken) -> PoolToken:
        """Make a token; the returned one knows its `text`. `Invalid` says what is wrong with the document."""
        async with self._db.uow() as uow:
            await self._pools.changeable(uow, actor, pool_id)
            now = uow.now()
            self._check(new, now)
            token_id = ids.new("at")
            text = token_text(f"{token_id}-{pool_id}")  # who joins with it need not be told the pool
            token = PoolToken(
                id=token_id,
                pool_id=pool_id,
                hash=(digest := self._pepper.digest(text)),
                hash_key=digest.key_id,
                description=checked_description(new.description),
                uses=new.uses,
                uses_left=new.uses,
                created_at=now,
                created_by_id=actor.user_id,
                expires_at=new.expired_at or now + LIFE,
            )
            uow.add(token)
            detail = {"pool": pool_id, "uses": new.uses, "until": f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
            record(uow, actor, "agent-pool-token.create", "authentication-tokens", token_id, **detail)
            await uow.commit()
        token.text = text
        return token

    async def list(self, actor: Actor, pool_id: str, page: PageRequest) -> Page[PoolToken]:
        """One page of a pool's tokens, newest first; those that are used up or expired too, for a week."""

        def look(session: Session) -> Page[PoolToken]:
            self._pools.readable(actor, queries.pool(session, pool_id))
            return queries.tokens(session, pool_id, page)

        return await self._db.read(look)

    async def show(self, actor: Actor, token_id: str) -> PoolToken:
        """A token without its text; `NotFound` when it is not there or the actor may not read its pool."""
        token = await self._db.read(lambda session: queries.token(session, self._authz, actor, token_id))
        if token is None:
            raise missing("token")
        return token

    async def revoke(self, actor: Actor, token_id: str) -> None:
        """End a token. Listeners that joined with it stay."""
        pool_id = (await self.show(actor, token_id)).pool_id
        async with self._db.uow() as uow:
            await self._pools.changeable(uow, actor, pool_id)
            token = await uow.session.get(PoolToken, token_id, with_for_update=True)
            if token is None:
                raise missing("token")
            await uow.session.delete(token)
            record(uow, actor, "agent-pool-token.revoke", "authentication-tokens", token_id, pool=pool_id, unused=token.uses_left)
            await uow.commit()

    async def check(self, text: str, pool_id: str) -> None:
        """Pass for a token that lets somebody join this pool now; asked before anything is read of what they send.

        Raises `Unauthorized` for one that is good no more, or is another pool's.
        """
        digests, now = self._digests(text), self._db.clock.now()
        refusal = await self._db.read(lambda session: _refusal(session, digests, pool_id, now))
        if refusal is not None:
            raise refusal

    async def use(self, uow: UnitOfWork, text: str, pool_id: str) -> str:
        """Take one use of a token, in the caller's transaction; its id. Raises as `check`."""
        digests, now = self._digests(text), uow.now()
        # One conditional statement: of two that come at once for the last use, one finds nothing.
        good = (PoolToken.hash.in_(digests), PoolToken.pool_id == pool_id, PoolToken.uses_left > 0, PoolToken.expires_at > now)
        taken = update(PoolToken).where(*good).values(uses_left=PoolToken.uses_left - 1, last_used_at=now).returning(PoolToken.id)
        token_id = (await uow.session.execute(taken.execution_options(synchronize_session=False))).scalar_one_or_none()
        if token_id is None:
            raise await uow.run(lambda session: _refusal(session, digests, pool_id, now)) or _unknown()
        return token_id

    def _digests(self, text: str) -> Sequence[str]:
        return self._pepper.candidates(text) if len(text) <= LONGEST else ()

    def _check(self, new: CreatePoolToken, now: datetime) -> None:
        problems = Problems()
        if not (new.description or "").strip():
            problems.add("Description can't be blank", attribute="description")
        if not 1 <= new.uses <= MOST_USES:
            problems.add(f"Uses must be between 1 and {MOST_USES}", attribute="uses")
        longest = timedelta(days=self._settings.max_days)
        if new.expired_at is not None and not now < new.expired_at <= now + longest:
            problems.add(
                f"expired-at must lie in the future, and at most {longest.days} days from now (tokens.max_days)", attribute="expired-at"
            )
        problems.refuse()


def _refusal(session: Session, digests: Sequence[str], pool_id: str, now: datetime) -> Unauthorized | None:
    """Why a token lets nobody join; `None` when it does. Who holds the text may know that; of another pool's token nothing is said."""
    query = select(PoolToken).where(PoolToken.hash.in_(digests), PoolToken.pool_id == pool_id)
    token = session.execute(query).scalar_one_or_none()
    if token is None:
        return _unknown()
    if token.expires_at <= now:
        return Unauthorized("the token is expired; ask a platform admin for a new one", code="token_expired")
    if token.uses_left <= 0:
        return Unauthorized("the token is used up; ask a platform admin for a new one", code="token_used_up")
    return None


def _unknown() -> Unauthorized:
    return Unauthorized("the token is not one of this pool, or was revoked", code="token_unknown")

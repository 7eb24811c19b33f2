"""API tokens: made, listed, revoked. The text exists once, in the answer that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import TOKEN_GUARD, APIToken, SignedIn, TokenOrigin, User
from terrapod_core.accounts.scopes import WHOLE, Narrowing, ReadableWorkspaces, check_all_there, inherited
from terrapod_core.accounts.texts import Pepper, token_text
from terrapod_core.audit import record
from terrapod_core.authz import Actor, ActorKind, Authorizer, PlatformRole
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Tokens as TokenSettings

DESCRIPTION_LENGTH: Final = 255
_EXPIRY: Final = "/data/attributes/expired-at"


@dataclass(frozen=True)
class IssuedToken:
    """A token that was just made, with its text."""

    id: str
    user_id: str
    description: str
    created_at: datetime
    expires_at: datetime | None
    text: str = field(repr=False)
    origin: str = TokenOrigin.API.value
    created_by_id: str | None = None
    """As in `APIToken`, and so are the next two."""
    ceiling: str | None = None
    workspace_ids: Sequence[str] | None = None
    last_used_at: None = None


class SignInAgain(Forbidden):
    """A session whose sign-in is too long ago for what is asked; a browser is led to the sign-in page and back."""

    def __init__(self, days: int, minutes: int) -> None:
        super().__init__(
            f"a token that is good for more than {days} days is made within {minutes} minutes of signing in: "
            f"sign in again, or ask for {days} days or less",
            code="reauthentication_needed",
        )


class Tokens:
    """The tokens of users."""

    def __init__(
        self,
        db: Database,
        authz: Authorizer,
        keyring: Keyring,
        authentication: Authentication,
        settings: TokenSettings,
        readable: ReadableWorkspaces,
    ) -> None:
        self._readable = readable
        self._db = db
        self._authz = authz
        self._pepper = Pepper(keyring)
        self._authentication = authentication
        self._settings = settings

    async def authenticate(self, text: str) -> Actor | None:
        """The one whose token or session this is; `None` when it is nobody's, expired, revoked, or the user is disabled."""
        return await self._authentication.authenticate(text)

    async def create(
        self,
        actor: Actor,
        *,
        description: str | None = None,
        expires_at: datetime | None = None,
        user_id: str | None = None,
        origin: TokenOrigin | None = None,
        narrowing: Narrowing = WHOLE,
    ) -> IssuedToken:
        """Make a token of the actor's own, or of the user that `user_id` names.

        For a service account a platform admin may do that, for anybody else only the server itself. `expires_at` of `None` takes
        the default lifetime. Raises `Invalid` for one in the past, beyond the ceiling, or beyond the end of the token that the
        actor shows, and for a scope that is wider than that token's or names what the actor may not see; `SignInAgain` when the
        actor shows a session that is too old for a token so long-lived.
        """
        user_id = user_id or actor.user_id
        if narrowing.workspace_ids is not None:
            wanted = sorted(set(narrowing.workspace_ids))
            check_all_there(wanted, await self._db.read(lambda session: self._readable(session, actor, wanted)), narrowing.pointer)
        async with self._db.uow() as uow:
            # Nobody deletes the user before the commit; noting that they were seen need not wait for it.
            shared = {"read": True, "key_share": True}
            user = await uow.session.get(User, user_id, with_for_update=shared) if user_id else None
            if user is None:
                raise NotFound("there is no such user")
            self._check_owner(actor, user)
            parent = await self._parent(uow, actor)
            await self.check_sign_in(uow, actor, expiry(expires_at, uow.now(), self._settings, parent))
            origin = origin or (TokenOrigin.COMMAND if actor.kind is ActorKind.SYSTEM else TokenOrigin.API)
            issued = self.issue(
                uow, actor, user, description=description, expires_at=expires_at, parent=parent, origin=origin, narrowing=narrowing
            )
            await uow.commit()
        return issued

    def issue(
        self,
        uow: UnitOfWork,
        actor: Actor,
        user: User,
        *,
        description: str | None,
        origin: TokenOrigin,
        expires_at: datetime | None = None,
        parent: APIToken | None = None,
        narrowing: Narrowing = WHOLE,
    ) -> IssuedToken:
        """Make a token in the caller's transaction; who may have it, and for which workspaces, was decided by the caller."""
        if user.disabled_at is not None:
            raise Conflict(f"{user.username} is disabled and gets no token")
        now, narrow = uow.now(), inherited(narrowing, parent)
        token_id = ids.new("at")
        text = token_text(token_id)
        row = APIToken(
            id=token_id,
            user_id=user.id,
            hash=(digest := self._pepper.digest(text)),
            hash_key=digest.key_id,
            description=checked_description(description),
            origin=origin.value,
            parent_id=parent.id if parent else None,
            created_at=now,
            expires_at=expiry(expires_at, now, self._settings, parent),
            created_by_id=actor.user_id if actor.user_id != user.id else None,
            ceiling=narrow.permission,
            workspace_ids=narrow.workspace_ids,
        )
        uow.add(row)
        scope = {"permission": row.ceiling, "workspaces": row.workspace_ids} if row.ceiling or row.workspace_ids else {}
        record(uow, actor, "authentication-token.create", "authentication-tokens", token_id, user=user.id, origin=origin.value, **scope)
        return IssuedToken(
            token_id, user.id, row.description, now, row.expires_at, text, row.origin, row.created_by_id, row.ceiling, row.workspace_ids
        )

    async def check_sign_in(self, uow: UnitOfWork, actor: Actor, expires_at: datetime | None = None) -> None:
        """Raise `SignInAgain` when the actor shows a session whose sign-in is too old for a token with this end.

        `None` asks about the default lifetime, which `terraform login` gives.
        """
        if not await uow.run(lambda session: self._fresh_enough(session, actor, expires_at, uow.now())):
            raise SignInAgain(self._settings.reauthenticate_days, self._settings.reauthenticate_minutes)

    async def wants_sign_in(self, actor: Actor) -> bool:
        """Whether a token of the default lifetime would be refused with `SignInAgain`: asked before a page offers one."""
        now = self._db.clock.now()
        return not await self._db.read(lambda session: self._fresh_enough(session, actor, None, now))

    async def list(self, actor: Actor, user_id: str | None = None, page: PageRequest | None = None) -> Page[APIToken]:
        """The live tokens of a user (the actor's own by default), newest first; `None` as `page` is all of them.

        Somebody else's are an empty list. The server itself, which is no user, is given everybody's.
        """
        owner = user_id or actor.user_id

        def look(session: Session) -> Page[APIToken]:
            query = self._visible(actor)
            if owner is not None:
                query = query.where(APIToken.user_id == owner)
            total = session.execute(select(func.count()).select_from(query.subquery())).scalar_one()
            query = query.order_by(APIToken.created_at.desc(), APIToken.id)
            if page is None:
                return Page.whole(session.execute(query).scalars().all())
            found = session.execute(query.limit(page.size).offset(page.offset)).scalars().all()
            return Page(found, page.number, page.size, total)

        return await self._db.read(look)

    async def show(self, actor: Actor, token_id: str) -> APIToken:
        """A token without its text; raises `NotFound`, also for one that is not the actor's to see."""
        live = select(APIToken).where(APIToken.revoked_at.is_(None))
        # Whatever a token is narrowed to, it may look at itself.
        seen = live if token_id == actor.token_id else self._visible(actor)
        found = await self._db.read(lambda session: session.execute(seen.where(APIToken.id == token_id)).scalar_one_or_none())
        if found is None:
            raise _missing()
        return found

    async def revoke(self, actor: Actor, token_id: str) -> None:
        """End a token, and all that were made with it. Raises `NotFound`, or `Forbidden` for one that the actor may only see.

        A narrowed token ends itself and no other.
        """
        await self.show(actor, token_id)
        if token_id != actor.token_id:
            self._authz.require_unscoped(actor, to="revoke other tokens")
        async with self._db.uow() as uow:
            token = await uow.session.get(APIToken, token_id, with_for_update=True)
            if token is None or token.revoked_at is not None:
                raise _missing()
            if token.user_id != actor.user_id and not actor.is_platform_admin:
                raise Forbidden("only the token's user and platform admins may revoke it", code="own_tokens_only")
            ended = await revoke_tree(uow, token_id)
            record(uow, actor, "authentication-token.revoke", "authentication-tokens", token_id, user=token.user_id, ended=ended)
            await uow.commit()
        self._authentication.forget()

    def _check_owner(self, actor: Actor, user: User) -> None:
        """Pass for one's own, for the server itself, and for a platform admin who makes one for a service account."""
        if user.id == actor.user_id or actor.kind is ActorKind.SYSTEM:
            return
        if not user.is_service_account:
            raise Forbidden("a token is made by the user it belongs to", code="own_tokens_only")
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="make tokens for service accounts")

    async def _parent(self, uow: UnitOfWork, actor: Actor) -> APIToken | None:
        """The token that the actor shows, locked, so that it cannot be revoked between this look and the commit."""
        if actor.token_id is None:
            return None
        parent = await uow.session.get(APIToken, actor.token_id, with_for_update=True)
        if parent is None or parent.revoked_at is not None:
            raise Forbidden("the token that you show was revoked", code="token_revoked")
        return parent

    def _fresh_enough(self, session: Session, actor: Actor, expires_at: datetime | None, now: datetime) -> bool:
        ends = expires_at or now + timedelta(days=self._settings.default_days)
        if actor.session_id is None or ends <= now + timedelta(days=self._settings.reauthenticate_days):
            return True
        signed_in = session.get(SignedIn, actor.session_id)
        return signed_in is not None and signed_in.created_at > now - timedelta(minutes=self._settings.reauthenticate_minutes)

    def _visible(self, actor: Actor) -> Select[APIToken]:
        return self._authz.visible(select(APIToken).where(APIToken.revoked_at.is_(None)), actor, TOKEN_GUARD)


async def revoke_tree(uow: UnitOfWork, token_id: str) -> int:
    """Revoke a token, whose row the caller locked, and its descendants; says how many that were.

    Repeated until nothing is found: a token made with one of them at this moment is seen by the next round at the latest,
    since from the first round on nobody can lock their parent any more.
    """
    tree = select(APIToken.id).where(APIToken.id == token_id).cte("tree", recursive=True)
    tree = tree.union_all(select(APIToken.id).join(tree, APIToken.parent_id == tree.c.id))
    live = update(APIToken).where(APIToken.id.in_(select(tree.c.id)), APIToken.revoked_at.is_(None)).values(revoked_at=uow.now())
    ended = 0
    while found := (await uow.session.execute(live.returning(APIToken.id).execution_options(synchronize_session=False))).all():
        ended += len(found)
    return ended


def expiry(asked: datetime | None, now: datetime, settings: TokenSettings, parent: APIToken | None) -> datetime:
    """When a new token ends; raises `Invalid` for a moment that is not in the future or too far in it.

    The token of the settings has no end; what is made with it gets no more than the default lifetime.
    """
    longest, default = timedelta(days=settings.max_days), timedelta(days=settings.default_days)
    if asked is not None and asked <= now:
        raise Invalid("expired-at must lie in the future", pointer=_EXPIRY)
    if asked is not None and asked > now + longest:
        raise Invalid(f"expired-at may be at most {settings.max_days} days from now (tokens.max_days)", pointer=_EXPIRY)
    if parent is None:
        return asked or now + default
    end = parent.expires_at or now + default
    if asked is not None and asked > end:
        why = (
            "a token made with another ends with it"
            if parent.expires_at
            else "the token of the settings makes none that is good for longer"
        )
        raise Invalid(f"{why}: expired-at may be at most {end:%Y-%m-%dT%H:%M:%SZ}", pointer=_EXPIRY)
    return asked or min(end, now + default)


def checked_description(description: str | None) -> str:
    """The description on one line; `Invalid` when it is too long or holds what cannot be shown."""
    text = " ".join((description or "").split())
    if len(text) > DESCRIPTION_LENGTH or not text.isprintable():
        raise Invalid(
            f"description must be printable and have at most {DESCRIPTION_LENGTH} characters", pointer="/data/attributes/description"
        )
    return text


def _missing() -> NotFound:
    return NotFound("there is no such token, or you may not see it")

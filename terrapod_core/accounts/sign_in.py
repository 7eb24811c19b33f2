"""Signing in through an auth provider: begun in a browser, finished in the same one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from terrapod_core import ids
from terrapod_core.accounts.authentication import Authentication
from terrapod_core.accounts.models import LoginState, SignedIn, User
from terrapod_core.accounts.sessions import Sessions
from terrapod_core.accounts.texts import EMAIL_LENGTH, email_key, plain_digest
from terrapod_core.accounts.throttle import Throttle
from terrapod_core.accounts.users import USERNAME_LENGTH
from terrapod_core.audit import record, refused
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import BadRequest, NotFound, TerrapodError, TooManyRequests, Unauthorized, Unavailable
from terrapod_core.plugin.auth import AuthProvider, Callback, Form, Identity, LoginRefused, LoginRequest, Redirect

STATE_LIVES: Final = timedelta(minutes=10)
SIGN_IN_PAGE: Final = "/app/sign-in"
CALLBACK: Final = "/api/v2/auth/callback"
HOME: Final = "/app"
RETURN_LENGTH: Final = 2048

ANONYMOUS: Final = Actor(ActorKind.USER, "anonymous", "anonymous")
"""Somebody who has not signed in, in audit entries."""

log = structlog.get_logger("terrapod.accounts")


@dataclass(frozen=True)
class Visitor:
    """The one at the other end, before anybody knows who it is."""

    browser: str | None = field(default=None, repr=False)
    """The cookie that tells this browser from others."""
    session: str | None = field(default=None, repr=False)
    """The bearer text of the session it has, if any; a new one takes its place."""
    address: str | None = None
    """Of the connection. Headers that claim another are not believed."""
    user_agent: str | None = None


@dataclass(frozen=True)
class Begun:
    """A sign-in under way."""

    provider: AuthProvider
    step: Redirect | Form
    state: str = field(repr=False)
    browser: str = field(repr=False)
    """For the browser's cookie."""


@dataclass(frozen=True)
class Welcome:
    """Signed in."""

    user: User
    session: SignedIn
    text: str = field(repr=False)
    """The session's bearer text."""
    return_to: str


class Refused(Unauthorized):
    """A sign-in that failed; knows where it was to lead, so that the page can offer another try."""

    def __init__(self, detail: str, *, provider: str, return_to: str) -> None:
        super().__init__(detail)
        self.provider = provider
        self.return_to = return_to


class SignIn:
    """Lets people in."""

    def __init__(self, db: Database, sessions: Sessions, authentication: Authentication, providers: Mapping[str, AuthProvider]) -> None:
        self._db = db
        self._sessions = sessions
        self._authentication = authentication
        self.providers = dict(providers)
        again = "too many failed sign-ins; wait before you try again"
        self._by_address = Throttle(db.clock, limit=60, window=timedelta(minutes=5), sentence=again)
        self._by_account = Throttle(db.clock, limit=10, window=timedelta(minutes=5), sentence=again)
        self._begins = Throttle(db.clock, limit=120, window=timedelta(minutes=1), sentence="too many sign-ins were begun; wait a minute")

    async def begin(self, provider_name: str | None, visitor: Visitor, *, return_to: str | None, base_url: str) -> Begun:
        """Start with a provider; `None` takes the only one there is. Raises `NotFound` for a provider that is not there."""
        provider = self._provider(provider_name)
        self._begins.charge(visitor.address or "-")
        state, browser = secrets.token_urlsafe(32), visitor.browser or secrets.token_urlsafe(32)
        onward = checked_return(return_to)
        request = LoginRequest(state=state, callback_url=base_url + CALLBACK, return_to=onward)
        try:
            step = await provider.begin(request)
        except LoginRefused as refusal:
            raise Unavailable(refusal.reason, retry_after=refusal.retry_after) from None
        except Exception:
            log.exception("an auth provider failed to begin", provider=provider.name)
            raise _out_of_order(provider) from None
        async with self._db.uow() as uow:
            uow.add(
                LoginState(
                    hash=plain_digest(state),
                    browser=plain_digest(browser),
                    provider=provider.name,
                    return_to=onward,
                    expires_at=uow.now() + STATE_LIVES,
                )
            )
            await uow.commit()
        return Begun(provider, step, state, browser)

    async def finish(self, visitor: Visitor, values: Mapping[str, str]) -> Welcome:
        """What came back, judged. Raises `BadRequest` for a state that is not this browser's, `Refused` for a failed sign-in,
        `TooManyRequests` after too many of them.
        """
        if any("\0" in value for value in values.values()):
            raise BadRequest("the form holds a character that is not text")
        begun = await self._resume(visitor, values.get("state", ""))
        provider = self._provider(begun.provider)
        given = {name: value for name, value in values.items() if name not in ("state", "provider", "return_to")}
        account = _account(provider.name, given, visitor)
        failures = self._charge(visitor, account)
        try:
            identity = await self._judge(provider, Callback(given, values["state"]), visitor, account)
            welcome = await self._admit(provider, identity, visitor, begun.return_to)
        except LoginRefused as refusal:
            await self._note(provider, failures)
            raise Refused(refusal.reason, provider=provider.name, return_to=begun.return_to) from None
        self._by_address.refund(visitor.address or "-")
        self._by_account.clear(account)
        self._authentication.forget()
        return welcome

    def _provider(self, name: str | None) -> AuthProvider:
        if name is None and len(self.providers) == 1:
            return next(iter(self.providers.values()))
        if name is None or name not in self.providers:
            raise NotFound(f"choose how to sign in: {', '.join(self.providers) or 'no auth provider is loaded'}")
        return self.providers[name]

    async def _resume(self, visitor: Visitor, state: str) -> LoginState:
        """Take the state out of the table, so that it serves once, and only in the browser that it was made for."""
        async with self._db.uow() as uow:
            mine = (LoginState.hash == plain_digest(state), LoginState.browser == plain_digest(visitor.browser or ""))
            found = (await uow.session.execute(delete(LoginState).where(*mine).returning(LoginState))).scalar_one_or_none()
            await uow.commit()
        if found is None or found.expires_at <= self._db.clock.now():
            raise BadRequest("this sign-in was begun in another browser or too long ago; begin again", code="stale_sign_in")
        return found

    def _charge(self, visitor: Visitor, account: str) -> int:
        self._by_address.charge(visitor.address or "-")
        try:
            return self._by_account.charge(account)
        except TooManyRequests:
            self._by_address.refund(visitor.address or "-")
            raise

    async def _judge(self, provider: AuthProvider, callback: Callback, visitor: Visitor, account: str) -> Identity:
        """Ask the provider. What was not judged (busy, broken) does not count as a failure."""
        problem: TerrapodError
        try:
            return await provider.finish(callback)
        except LoginRefused as refusal:
            if refusal.retry_after is None:
                raise
            problem = TooManyRequests(refusal.reason, retry_after=refusal.retry_after)
        except TerrapodError as error:
            problem = error
        except Exception:
            log.exception("an auth provider failed to finish", provider=provider.name)
            problem = _out_of_order(provider)
        self._by_address.refund(visitor.address or "-")
        self._by_account.refund(account)
        raise problem

    async def _admit(self, provider: AuthProvider, identity: Identity, visitor: Visitor, return_to: str) -> Welcome:
        try:
            return await self._open(provider, identity, visitor, return_to)
        except IntegrityError:
            # The same person signed in for the first time twice at once; now they are known.
            return await self._open(provider, identity, visitor, return_to)

    async def _open(self, provider: AuthProvider, identity: Identity, visitor: Visitor, return_to: str) -> Welcome:
        async with self._db.uow() as uow:
            user = await _user_of(uow, provider.name, identity)
            if user.disabled_at is not None:
                raise LoginRefused("this account is disabled; ask an administrator of this server")
            user.last_seen_at = uow.now()
            if visitor.session is not None:
                await self._sessions.discard(uow, visitor.session)
            text, session = self._sessions.open(uow, user, address=visitor.address, user_agent=visitor.user_agent)
            actor = Actor(ActorKind.USER, user.id, user.username, user.email, session_id=session.id)
            record(uow, actor, "session.create", "sessions", session.id, provider=provider.name)
            await uow.commit()
        return Welcome(user, session, text, return_to)

    async def _note(self, provider: AuthProvider, failures: int) -> None:
        """Record a failure and how many there were; not what was typed, which may be a password in the wrong field."""
        try:
            await refused(self._db, ANONYMOUS, "session.create", "sessions", "-", provider=provider.name, failures=failures)
        except Unavailable:
            log.warning("a failed sign-in could not be recorded: the database is away")


async def _user_of(uow: UnitOfWork, provider: str, identity: Identity) -> User:
    """The user this identity is; made at the first sign-in. Equal addresses of other providers are other people."""
    query = select(User).where(User.provider == provider, User.issuer == identity.issuer, User.subject == identity.subject)
    user = (await uow.session.execute(query)).scalar_one_or_none()
    if user is not None:
        if identity.email and identity.email != user.email:
            user.email, user.email_key = identity.email, email_key(identity.email)
        return user
    user = User(
        id=ids.new("user"),
        username=await _free_name(uow, identity.username or identity.email, provider),
        email=identity.email,
        email_key=email_key(identity.email),
        provider=provider,
        issuer=identity.issuer,
        subject=identity.subject,
        created_at=uow.now(),
    )
    uow.add(user)
    await uow.flush()
    newcomer = replace(ANONYMOUS, id=user.id, name=user.username)
    record(uow, newcomer, "user.create", "users", user.id, provider=provider, email=identity.email)
    return user


async def _free_name(uow: UnitOfWork, wanted: str, provider: str) -> str:
    """The proposed name, or one that tells its bearer from the one who has it already."""
    wanted = "".join(each for each in wanted.strip() if each.isprintable())[: USERNAME_LENGTH - 32] or "user"
    for name in (wanted, f"{wanted} ({provider})", f"{wanted} ({ids.new('user')[-6:]})"):
        if (await uow.session.execute(select(User.id).where(User.username == name))).first() is None:
            return name
    return ids.new("user")


def checked_return(path: str | None) -> str:
    """The path to go to after signing in, if it leads to a page of this server; else the first page."""
    if not path or len(path) > RETURN_LENGTH or not path.isprintable() or "\\" in path or "/.." in path:
        return HOME
    return path if path.startswith(("/app/", "/app?", "/oauth/authorize?")) or path == HOME else HOME


def _account(provider: str, given: Mapping[str, str], visitor: Visitor) -> str:
    """What the attempt is counted against beside the address: the account it names. What names none counts for its address."""
    name = email_key(given.get("email") or given.get("username") or "")[:EMAIL_LENGTH]
    return f"{provider}:{name}" if name else f"{provider} from {visitor.address}"


def _out_of_order(provider: AuthProvider) -> Unavailable:
    return Unavailable(f"{provider.display_name} does not answer as it should; try again, or sign in another way", retry_after=30)
